"""Another password, another address: by whom, and who is told."""

import re

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
