"""Another password, another address: by whom, and who is told."""

import re
from typing import Any

import httpx

from tests.conftest import PASSWORD, World
from tests.security.test_sessions import ADA, me, registered, signed_in

NEW = "new@example.com"
OTHER = "another battery of horses"


async def ask(world: World, email: str = NEW, password: str = PASSWORD) -> httpx.Response:
    body = {"email": email, "password": password}
    headers = await signed_in(world)
    return await world.http.post("/api/v1/users/me/email", json=body, headers=headers)


def token_mailed_to(world: World, address: str) -> str:
    text = world.mails(address)[-1].get_body(("plain",)).get_content()
    found = re.search(r"/confirm-email\?token=([\w-]+)", text)
    assert found
    return found[1]


async def confirm(world: World, token: str) -> int:
    ours = {"Origin": world.settings.base_url}
    answer = await world.http.post("/confirm-email", data={"token": token}, headers=ours)
    return answer.status_code


async def test_another_password_ends_all_sessions_and_is_told(world: World) -> None:
    await registered(world)
    phone, desk = await signed_in(world), await signed_in(world)
    path = "/api/v1/users/me/password"
    wrong = {"current_password": "not the one", "password": OTHER}
    assert (await world.http.post(path, json=wrong, headers=desk)).status_code == 403
    assert await me(world, phone) == 200
    body = {"current_password": PASSWORD, "password": OTHER}
    assert (await world.http.post(path, json=body, headers=desk)).status_code == 200
    assert (await me(world, phone), await me(world, desk)) == (401, 401)
    signing = {"email": ADA, "password": OTHER}
    assert (await world.http.post("/api/v1/auth/login", json=signing)).status_code == 200
    await world.work()
    assert "password" in world.mails(ADA)[-1]["Subject"]


async def test_guesses_of_ones_own_password_are_counted(world: World) -> None:
    await registered(world)
    headers = await signed_in(world)
    body = {"current_password": "a guess", "password": OTHER}
    path = "/api/v1/users/me/password"
    statuses = [
        (await world.http.post(path, json=body, headers=headers)).status_code for _ in range(11)
    ]
    assert statuses == [403] * 10 + [429]


async def test_an_address_changes_when_its_new_owner_says_so(world: World) -> None:
    await registered(world)
    assert (await ask(world)).status_code == 202
    await world.work()
    assert await world.value("SELECT email FROM users") == ADA, "not before the link is opened"
    token = token_mailed_to(world, NEW)
    assert await confirm(world, token) == 200
    assert await confirm(world, token) == 400, "it works once"
    await world.work()
    assert "another address" in world.mails(ADA)[-1]["Subject"]
    signing = {"email": NEW, "password": PASSWORD}
    assert (await world.http.post("/api/v1/auth/login", json=signing)).status_code == 200
    signing["email"] = ADA
    assert (await world.http.post("/api/v1/auth/login", json=signing)).status_code == 401


async def test_the_address_of_somebody_else_stays_theirs(world: World) -> None:
    await registered(world)
    await world.user(NEW)
    assert (await ask(world)).status_code == 202, "as for one that nobody has"
    await world.work()
    assert await confirm(world, token_mailed_to(world, NEW)) == 400
    assert await world.value("SELECT count(*) FROM users WHERE email = %s", NEW) == 1
    assert (await ask(world, password="a guess at it")).status_code == 403
    assert (await ask(world, email="no address")).status_code == 400
    assert (await ask(world, email=ADA.upper())).status_code == 400, "it is theirs already"


async def test_one_person_does_not_use_up_what_is_for_all(world: World) -> None:
    await registered(world)
    asked = [(await ask(world, email=f"new{n}@example.com")).status_code for n in range(6)]
    assert asked == [202] * 5 + [429]


async def test_by_page(world: World) -> None:
    await registered(world)
    ada = await world.value("SELECT id FROM users")
    headers = await signed_in(world)
    world.http.cookies.set("activelog_session", headers["Authorization"].split()[1])
    ours = {"Origin": world.settings.base_url, "Referer": f"{world.settings.base_url}/account"}
    form = {"current_password": PASSWORD, "password": OTHER}
    changed = await world.http.post("/account/password", data=form, headers=ours)
    assert changed.headers["Location"] == "/account"
    assert (await world.http.get("/account")).status_code == 200, "signed in anew"
    form = {"email": NEW, "password": OTHER}
    await world.http.post("/account/email", data=form, headers=ours)
    await world.work()
    page = await world.http.get(f"/confirm-email?token={token_mailed_to(world, NEW)}")
    assert "Yes, change it" in page.text
    token = token_mailed_to(world, NEW)
    done = await world.http.post("/confirm-email", data={"token": token}, headers=ours)
    assert "is changed" in done.text
    assert await world.value("SELECT email FROM users WHERE id = %s", ada) == NEW


async def sign_in_with(world: World, agent: str, host: str = "203.0.113.7") -> None:
    transport = httpx.ASGITransport(world.app, client=(host, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as own:
        body = {"email": "ada@example.com", "password": PASSWORD}
        answer = await own.post("/api/v1/auth/login", json=body, headers={"User-Agent": agent})
        assert answer.status_code == 200


async def test_a_new_device_is_told_of_once(world: World) -> None:
    await registered(world)
    for _ in range(2):
        assert (await world.sign_in(ADA, PASSWORD)).status_code == 200
    await world.work()
    before = len(world.mails(ADA))
    for _ in range(2):
        await sign_in_with(world, "Mozilla/5.0 (Windows NT 10.0) Firefox/150.0", "198.51.100.9")
    await world.work()
    [mail] = world.mails(ADA)[before:]
    assert mail["Subject"] == "Somebody signed in to your account on a new device"
    text = mail.get_body(("plain",)).get_content()
    assert "Firefox on Windows" in text
    assert "198.51.100.x" in text
    assert "198.51.100.9" not in text
    assert "You get this mail because a new device signed in" in text


async def test_a_browser_is_known_by_its_cookie_wherever_it_is(world: World) -> None:
    await registered(world)
    await world.sign_in(ADA, PASSWORD)
    await world.work()
    before = len(world.mails(ADA))
    form = {"email": ADA, "password": PASSWORD}
    ours = {"Origin": world.settings.base_url, "User-Agent": "Firefox on Linux"}
    for _ in range(2):
        answer = await world.http.post("/sign-in", data=form, headers=ours)
        assert answer.status_code == 303
        ours["User-Agent"] = "Firefox on Linux, a newer one"
    assert "activelog_device" in world.http.cookies
    await world.work()
    assert len(world.mails(ADA)) == before + 1


async def test_a_reset_says_when_and_roughly_from_where_it_was_asked(world: World) -> None:
    ada = await world.user()
    await world.http.post("/api/v1/auth/forgot-password", json={"email": ada.address})
    await world.work()
    [mail] = world.mails(ada.address)
    for part in ("plain", "html"):
        text = mail.get_body((part,)).get_content()
        assert "203.0.113.x" in text
        assert " UTC" in text


async def test_mails_say_where_to_ask(with_settings: Any) -> None:
    async with with_settings(support="help@example.com") as world:
        await world.register("ada@example.com")
        await world.work()
        for mail in world.mails("ada@example.com"):
            text = mail.get_body(("plain",)).get_content()
            assert "because this address was registered" in text
            assert "Questions: help@example.com" in text
            assert "mailto:help@example.com" in mail.get_body(("html",)).get_content()


async def reset_link(world: World, address: str = ADA) -> str:
    await world.http.post("/api/v1/auth/forgot-password", json={"email": address})
    await world.work()
    text = world.mails(address)[-1].get_body(("plain",)).get_content()
    found = re.search(r"reset-password\?token=([\w-]+)", text)
    assert found
    return found[1]


async def reset(world: World, token: str) -> int:
    body = {"token": token, "password": "a third battery of owls"}
    return (await world.http.post("/api/v1/auth/reset-password", json=body)).status_code


async def test_a_new_password_ends_what_was_asked_for_with_the_old_one(world: World) -> None:
    """Somebody who knew it and asked for another address would have the account for good."""
    await registered(world)
    await ask(world, "thief@example.com")
    await world.work()
    assert await reset(world, await reset_link(world)) == 200
    assert await confirm(world, token_mailed_to(world, "thief@example.com")) == 400
    assert await world.value("SELECT email FROM users") == ADA


async def test_a_changed_password_ends_the_links_that_wait(world: World) -> None:
    await registered(world)
    await ask(world)
    link = await reset_link(world)
    body = {"current_password": PASSWORD, "password": OTHER}
    headers = await signed_in(world)
    path = "/api/v1/users/me/password"
    assert (await world.http.post(path, json=body, headers=headers)).status_code == 200
    assert await reset(world, link) == 400
    assert await confirm(world, token_mailed_to(world, NEW)) == 400


async def test_a_link_in_an_old_mailbox_resets_nothing(world: World) -> None:
    await registered(world)
    link = await reset_link(world)
    await ask(world)
    await world.work()
    assert await confirm(world, token_mailed_to(world, NEW)) == 200
    assert await reset(world, link) == 400
