"""Signing in and out, and who may lock whom out."""

from typing import Any

import httpx
import pytest

from activelog.accounts.model import clean_name
from activelog.accounts.passwords import check_password
from activelog.base.addresses import mailbox
from activelog.base.errors import AppError
from activelog.retention import queries as retention
from tests.conftest import PASSWORD, World

ADA = "ada@example.com"


async def signed_in(world: World, **headers: str) -> dict[str, str]:
    body = {"email": ADA, "password": PASSWORD}
    answer = await world.http.post("/api/v1/auth/login", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def registered(world: World) -> None:
    await world.register(ADA)
    await world.work()
    token = world.token_mailed_to(ADA)
    await world.http.get(f"/api/v1/auth/verify-email?token={token}")


async def me(world: World, headers: dict[str, str]) -> int:
    return (await world.http.get("/api/v1/users/me", headers=headers)).status_code


async def test_signing_out_ends_the_session_at_once_and_no_other(world: World) -> None:
    await registered(world)
    phone, desk = await signed_in(world), await signed_in(world)
    assert (await me(world, phone), await me(world, desk)) == (200, 200)
    out = await world.http.post("/api/v1/auth/logout", headers=phone)
    assert out.status_code == 204
    assert (await me(world, phone), await me(world, desk)) == (401, 200)


async def test_sessions_are_listed_and_ended_one_by_one_or_all(world: World) -> None:
    await registered(world)
    phone = await signed_in(world, **{"User-Agent": "Phone"})
    desk = await signed_in(world, **{"User-Agent": "Desk"})
    path = "/api/v1/auth/sessions"
    found = (await world.http.get(path, headers=desk)).json()["sessions"]
    assert [(one["agent"], one["current"]) for one in found] == [("Desk", True), ("Phone", False)]
    assert found[0]["host"] == world.client
    ended = await world.http.delete(f"{path}/{found[1]['id']}", headers=desk)
    assert ended.status_code == 204
    assert (await me(world, phone), await me(world, desk)) == (401, 200)
    again = await world.http.delete(f"{path}/{found[1]['id']}", headers=desk)
    assert again.status_code == 404
    assert (await world.http.delete(path, headers=desk)).status_code == 204
    assert await me(world, desk) == 401


async def test_a_browser_that_signs_out_has_a_token_that_works_no_more(world: World) -> None:
    await registered(world)
    headers = await signed_in(world)
    world.http.cookies.set("activelog_session", headers["Authorization"].split()[1])
    ours = {"Origin": world.settings.base_url}
    await world.http.post("/sign-out", headers=ours)
    assert await me(world, headers) == 401


async def test_a_closed_account_reads_and_writes_nothing(world: World) -> None:
    await registered(world)
    headers = await signed_in(world)
    async with world.pool.connection() as conn:  # as the nightly deletion begins
        await world.rows("UPDATE users SET delete_after = now() - interval '1 day'")
        await retention.close_accounts(conn, world.services.clock(), 10)
    world.services.endings.asked_at = 0  # as a second later
    assert await me(world, headers) == 401
    body = {"activity_type": "run", "duration_minutes": 1, "activity_date": "2024-01-01T00:00:00Z"}
    wrote = await world.http.post("/api/v1/activities", json=body, headers=headers)
    assert wrote.status_code == 401


async def test_whoever_opens_the_link_chooses_the_password(world: World) -> None:
    """An attacker registers the owner's address; the owner opens the link in the mail."""
    await world.register(ADA, "the attacker's own secret")
    await world.work()
    token = world.token_mailed_to(ADA)
    form = {"token": token, "password": "the owner's own secret"}
    ours = {"Origin": world.settings.base_url}
    answered = await world.http.post("/verify-email", data=form, headers=ours)
    assert "is verified" in answered.text
    assert (await world.sign_in(ADA, "the attacker's own secret")).status_code == 401
    assert (await world.sign_in(ADA, "the owner's own secret")).status_code == 200


def client(world: World, host: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(world.app, raise_app_exceptions=False, client=(host, 1))
    return httpx.AsyncClient(transport=transport, base_url=world.settings.base_url)


async def guess(world: World, host: str) -> int:
    async with client(world, host) as http:
        body = {"email": ADA, "password": "a wrong guess of mine"}
        return (await http.post("/api/v1/auth/login", json=body)).status_code


async def test_one_network_cannot_lock_the_owner_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelog.base.auth.verify_password", lambda password, stored: False)
    answers = [await guess(world, f"2001:db8:1:{number:x}::1") for number in range(225)]
    assert answers.count(401) == 30
    monkeypatch.undo()
    await registered(world)
    assert (await world.sign_in(ADA)).status_code == 200


async def test_strangers_never_lock_out_who_signed_in_from_here(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await registered(world)
    await signed_in(world)
    monkeypatch.setattr("activelog.base.auth.verify_password", lambda password, stored: False)
    for number in range(205):
        await guess(world, f"198.51.{number}.1")
    assert await guess(world, "192.0.2.1") == 429
    monkeypatch.undo()
    await signed_in(world)


@pytest.mark.parametrize("host", ["::ffff:198.51.100.7", "64:ff9b::c633:6407"])
async def test_mapped_addresses_are_those_that_they_map(world: World, host: str) -> None:
    await registered(world)
    async with client(world, host) as http:
        await http.post("/api/v1/auth/login", json={"email": ADA, "password": PASSWORD})
    assert await world.value("SELECT host FROM sessions") == "198.51.100.7"


async def test_a_mailbox_that_never_registered_gets_few_mails(world: World) -> None:
    answers = []
    for host in range(8):
        async with client(world, f"198.51.100.{host}") as http:
            for tag in range(3):
                body: dict[str, Any] = {"email": f"vi.ctim+{tag}@gmail.com", "password": PASSWORD}
                answer = await http.post("/api/v1/auth/register", json=body | {"name": "V"})
                answers.append(answer.status_code)
    assert answers.count(202) <= 5


async def test_an_installation_mails_to_so_many_strangers_in_an_hour(with_settings: Any) -> None:
    async with with_settings(registrations_per_hour=2) as world:
        answers = [(await world.register(f"a{number}@example.com")) for number in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]


async def test_forgotten_passwords_cost_the_same_for_known_and_unknown(world: World) -> None:
    await registered(world)
    for address in (ADA, "nobody@example.com"):
        await world.http.post("/api/v1/auth/forgot-password", json={"email": address})
    jobs = await world.rows(
        "SELECT task_name, args - 'reset_id' - 'request_id' FROM procrastinate_jobs"
        " WHERE status = 'todo'"
    )
    assert jobs == [("activelog.accounts.password_reset", {})] * 2
    await world.work()
    assert "choose a new password" in world.mails(ADA)[-1].as_string()
    assert world.mails("nobody@example.com") == []
    assert await world.value("SELECT count(*) FROM password_resets WHERE email IS NOT NULL") == 0


@pytest.mark.parametrize(
    "password",
    ["aaaaaaaaaa", "1234567890", "qwertyuiop", "password123", "abcabcabcabc", "0987654321",
     "abcdefghijkl", "ada.lovelace1"],
)  # fmt: skip
def test_easy_passwords_are_refused(password: str) -> None:
    with pytest.raises(AppError, match="nobody guesses"):
        check_password(password, "Ada", "ada.lovelace", "example.com")


@pytest.mark.parametrize("password", [PASSWORD, "zebra-quartz 41", "ÄöüßÄöüß12"])
def test_good_passwords_are_taken(password: str) -> None:
    check_password(password, "Ada", "ada", "example.com")


@pytest.mark.parametrize(
    "name",
    ["Welcome, you won - evil.example/claim!", "//evil.example", "mailto:x", "see evil.example",
     "call +1 555 123 4567", "www.evil", "a@b.example", "\u200b", "\u2800\u200d", "x\u202ey",
     "evil。example", "\u00ad\u00ad", "http:evil"],
)  # fmt: skip
def test_names_that_read_as_links_or_nothing_are_refused(name: str) -> None:
    with pytest.raises(AppError):
        clean_name(name)


@pytest.mark.parametrize(
    "name", ["Ada", "J. R. R. Tolkien", "Dr. No", "Anne-Marie O'Neil", "李雷", "Jürgen 2nd", "🏃"]
)
def test_names_of_people_are_taken(name: str) -> None:
    assert clean_name(name) == name


def test_a_mailbox_is_counted_once() -> None:
    assert mailbox("A.da+x@GoogleMail.com") == mailbox("ada@gmail.com")
    assert mailbox("a.da@example.com") != mailbox("ada@example.com")
