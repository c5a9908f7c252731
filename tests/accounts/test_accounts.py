import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest

from activelog.base import auth
from tests.conftest import PASSWORD, SECRET, World

ADA = "ada@example.com"


async def test_register_verify_and_sign_in(world: World) -> None:
    registered = await world.register(ADA)
    assert registered.status_code == 202
    assert registered.json()["message"] == "verification email queued"
    await world.work()

    token = world.token_mailed_to(ADA)
    verified = await world.http.get(f"/api/v1/auth/verify-email?token={token}")
    assert verified.status_code == 200
    assert verified.json()["message"] == "email verified successfully"
    assert verified.json()["verified_at"].endswith("Z")

    session = (await world.sign_in("ADA@Example.com")).json()
    assert session["token_type"] == "Bearer"
    me = await world.http.get(
        "/api/v1/users/me", headers={"Authorization": f"Bearer {session['token']}"}
    )
    assert me.json()["email"] == ADA


async def test_a_token_verifies_once_and_for_24_hours(world: World) -> None:
    await world.register(ADA)
    await world.work()
    url = f"/api/v1/auth/verify-email?token={world.token_mailed_to(ADA)}"
    await world.rows("UPDATE verifications SET expires_at = now() - interval '1 second'")
    refused = await world.http.get(url)
    assert refused.status_code == 400
    assert refused.json() == {
        "error": "invalid token",
        "message": "verification token is invalid or expired",
    }
    await world.rows("UPDATE verifications SET expires_at = now() + interval '1 hour'")
    assert (await world.http.get(url)).status_code == 200
    assert (await world.http.get(url)).status_code == 400


async def test_who_is_verified_by_now_gets_no_link(world: World) -> None:
    await world.register(ADA)
    await world.rows("UPDATE users SET verified_at = now()")
    await world.work()
    assert world.token_mailed_to(ADA) is None


async def test_a_closed_account_shows_nothing(world: World) -> None:
    """As when its deletion is under way."""
    ada = await world.user()
    assert (await ada.get("/api/v1/users/me")).status_code == 200
    await world.rows("UPDATE users SET verified_at = NULL")
    assert (await ada.get("/api/v1/users/me")).status_code == 401


async def test_only_a_hash_of_the_token_is_stored(world: World) -> None:
    await world.register(ADA)
    await world.work()
    token = world.token_mailed_to(ADA) or ""
    stored = await world.rows("SELECT v::text FROM verifications v")
    jobs = await world.rows("SELECT args::text FROM procrastinate_jobs")
    assert token
    assert token not in str(stored)
    assert token not in str(jobs)
    assert auth.hash_token(token) in str(stored)


async def test_job_rows_hold_no_personal_data(world: World) -> None:
    await world.register(ADA)
    rows = str(await world.rows("SELECT * FROM procrastinate_jobs"))
    assert "activelog.accounts.welcome" in rows
    assert ADA not in rows
    assert "Ada" not in rows


async def test_a_second_run_mails_nothing_twice(world: World) -> None:
    await world.register(ADA)
    await world.work()
    welcome = world.jobs.configure_task("activelog.accounts.welcome")
    async with world.jobs.open_async():
        await welcome.defer_async(user_id=await world.value("SELECT id FROM users"))
    await world.work()
    assert sorted(mail["Subject"] for mail in world.mails(ADA)) == [
        "Verify your address for ActiveLog",
        "Welcome to ActiveLog!",
    ]


async def test_a_taken_address_answers_the_same_and_its_owner_gets_a_note(world: World) -> None:
    await world.user(ADA)
    new = (await world.register("new@example.com")).json()
    taken_response = await world.register("Ada@EXAMPLE.com", "another password")
    taken = taken_response.json()
    assert taken_response.status_code == 202
    assert taken.keys() == new.keys()
    assert taken["message"] == new["message"]
    await world.work()
    assert [mail["Subject"] for mail in world.mails(ADA)] == [
        "You already have an ActiveLog account"
    ]
    again = await world.http.post(
        "/api/v1/auth/resend-verification", headers={"Authorization": f"Bearer {taken['token']}"}
    )
    assert again.status_code == 202


async def test_a_stranger_who_registers_first_gains_nothing(world: World) -> None:
    await world.register(ADA, "the stranger's password")
    await world.work()
    await world.rows("DELETE FROM limits")
    strangers = world.token_mailed_to(ADA)
    await world.register(ADA, PASSWORD)
    await world.work()
    tokens = {mail["Message-ID"] for mail in world.mails(ADA) if "Verify" in mail["Subject"]}
    assert len(tokens) == 2
    owners = demo_tokens(world, ADA) - {strangers}
    assert (await world.http.get(f"/api/v1/auth/verify-email?token={owners.pop()}")).is_success
    assert (await world.sign_in(ADA, PASSWORD)).status_code == 200
    assert (await world.sign_in(ADA, "the stranger's password")).status_code == 401
    assert (await world.http.get(f"/api/v1/auth/verify-email?token={strangers}")).status_code == 400


def demo_tokens(world: World, address: str) -> set[str | None]:
    texts = [mail.get_body(("plain",)).get_content() for mail in world.mails(address)]
    return {found[1] for text in texts if (found := re.search(r"token=([\w-]+)", text))}


async def test_refusals_of_sign_in_read_the_same(world: World) -> None:
    await world.register(ADA)
    unverified = await world.sign_in(ADA)
    unknown = await world.sign_in("nobody@example.com")
    nonsense = await world.sign_in("not an address")
    assert {unverified.status_code, unknown.status_code, nonsense.status_code} == {401}
    assert unverified.text == unknown.text == nonsense.text


async def test_sign_in_is_limited_by_account(world: World) -> None:
    for _ in range(10):
        assert (await world.sign_in(ADA)).status_code == 401
    limited = await world.sign_in("ADA@example.com")
    assert limited.status_code == 429
    assert 0 < int(limited.headers["Retry-After"]) <= 900
    assert (await world.sign_in("bob@example.com")).status_code == 401


async def test_another_spelling_of_an_address_is_no_way_around_the_limit(world: World) -> None:
    for number in range(10):
        await world.sign_in("ada@exam" + "\u00ad" * number + "ple.com")
    assert (await world.sign_in(ADA)).status_code == 429


async def test_a_stranger_gets_few_mails_whoever_asks_for_them(world: World) -> None:
    tokens = [(await world.register(ADA)).json().get("token") for _ in range(5)]
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"}
        for _ in range(3):
            await world.http.post("/api/v1/auth/resend-verification", headers=headers)
    await world.work()
    assert len([mail for mail in world.mails(ADA) if "Verify" in mail["Subject"]]) <= 6


async def test_a_taken_address_leaves_the_same_rows(world: World) -> None:
    await world.user(ADA)
    await world.register(ADA)
    taken = await world.rows("SELECT task_name, queue_name FROM procrastinate_jobs ORDER BY id")
    await world.register("new@example.com")
    both = await world.rows("SELECT task_name, queue_name FROM procrastinate_jobs ORDER BY id")
    assert both == taken * 2
    await world.work()
    kinds = "SELECT kind, state FROM mails m JOIN users u ON u.id = user_id WHERE email = %s"
    assert set(await world.rows(kinds, ADA)) == {
        ("welcome", "skipped"), ("verification", "skipped"), ("already_registered", "sent"),
    }  # fmt: skip


async def test_resend_needs_the_registration_and_is_limited(world: World) -> None:
    assert (await world.http.post("/api/v1/auth/resend-verification")).status_code == 401
    token = (await world.register(ADA)).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    for _ in range(3):
        again = await world.http.post("/api/v1/auth/resend-verification", headers=headers)
        assert again.json() == {"message": "verification email queued", "email": ADA}
    limited = await world.http.post("/api/v1/auth/resend-verification", headers=headers)
    assert limited.status_code == 429
    me = await world.http.get("/api/v1/users/me", headers=headers)
    assert me.status_code == 401, "a registration's token is good for nothing else"


@pytest.mark.parametrize(
    "address",
    ["", "ada", "@example.com", "ada@", "ada@localhost", "a b@example.com", "ada@exa mple.com",
     "ada@example.com\r\nBcc: x@y.z", "ädä@example.com", f"{'a' * 65}@example.com", "ada@-x.com",
     "ada@faß.de", "ada@" + "ü." * 80 + "example"],
)  # fmt: skip
async def test_addresses_that_are_none_are_refused(world: World, address: str) -> None:
    refused = await world.register(address)
    assert refused.status_code == 400
    assert "email" in refused.json()["details"]
    assert await world.value("SELECT count(*) FROM users") == 0
    assert await world.value("SELECT count(*) FROM procrastinate_jobs") == 0


async def test_an_international_domain_is_kept_in_ascii(world: World) -> None:
    assert (await world.register("ada@bücher.example")).json()["email"] == (
        "ada@xn--bcher-kva.example"
    )


@pytest.mark.parametrize("name", ["", "  ", "Ada\r\nBcc: x@y.z", "Ada\x07", "x" * 101, "a\u2028b",
                                  "Win at http://evil.example", "WWW.evil.example"])  # fmt: skip
async def test_names_that_break_headers_or_advertise_are_refused(world: World, name: str) -> None:
    body = {"email": ADA, "password": PASSWORD, "name": name}
    refused = await world.http.post("/api/v1/auth/register", json=body)
    assert refused.status_code == 400
    assert "name" in refused.json()["details"]


async def test_hostile_names_arrive_as_text(world: World) -> None:
    await world.user(ADA)
    await world.rows("UPDATE users SET name = '<script>alert(1)</script> שלום 🎉'")
    await forgotten(world)
    [mail] = world.mails(ADA)
    assert "<script>alert(1)</script> שלום 🎉" in mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


async def test_a_mail_to_an_unverified_address_repeats_nothing_that_a_stranger_typed(
    world: World,
) -> None:
    body = {"email": ADA, "password": PASSWORD, "name": "Fortunate Winner"}
    assert (await world.http.post("/api/v1/auth/register", json=body)).status_code == 202
    await world.work()
    assert len(world.mails(ADA)) == 2
    for mail in world.mails(ADA):
        assert "Winner" not in mail.as_string()
        for part in mail.walk():
            if not part.is_multipart():
                assert "Winner" not in part.get_content()


async def test_the_token_of_an_account_that_is_gone_writes_nothing(world: World) -> None:
    ada = await world.user()
    await world.rows("DELETE FROM users")
    body = {"activity_type": "run", "duration_minutes": 1, "activity_date": "2024-01-01T00:00:00Z"}
    for path, content in (("activities", body), ("activities/export/csv", {})):
        refused = await ada.post(f"/api/v1/{path}", json=content)
        assert refused.status_code == 401
        assert "gone" in refused.json()["message"]


async def test_forged_tokens_are_refused(world: World) -> None:
    user = await world.user()
    good = auth.make_token(SECRET, "session", str(user.id), world.services.clock())[0]
    claims = jwt.decode(good, options={"verify_signature": False})
    forged = [
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(claims, "guessed secret of enough length!!", algorithm="HS256"),
        good[:-2],
        "nonsense",
        "",
    ]
    for token in forged:
        refused = await world.http.get(
            "/api/v1/users/me", headers={"Authorization": f"Bearer {token}"}
        )
        assert refused.status_code == 401
        assert refused.json()["error"] == "unauthorized"
        assert refused.headers["WWW-Authenticate"] == "Bearer"


async def test_an_expired_token_says_so(world: World) -> None:
    user = await world.user()
    long_ago = world.services.clock() - timedelta(days=2)
    token, _ = auth.make_token(SECRET, "session", str(user.id), long_ago)
    refused = await world.http.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 401
    assert "expired" in refused.json()["message"]


async def test_the_page_of_the_link_asks_before_it_verifies(world: World) -> None:
    await world.register(ADA)
    await world.work()
    token = world.token_mailed_to(ADA)
    asked = await world.http.get(f"/verify-email?token={token}")
    assert "Verify my address" in asked.text
    assert await world.value("SELECT verified_at FROM users") is None
    elsewhere = {"Origin": "https://evil.example"}
    forged = await world.http.post("/verify-email", data={"token": token}, headers=elsewhere)
    assert forged.status_code == 403
    assert await world.value("SELECT verified_at FROM users") is None
    ours = {"Origin": world.settings.base_url}
    form = {"token": token, "password": PASSWORD}
    easy = form | {"password": "aaaaaaaaaaaa"}
    refused = await world.http.post("/verify-email", data=easy, headers=ours)
    assert "same few characters" in refused.text
    answered = await world.http.post("/verify-email", data=form, headers=ours)
    assert "is verified" in answered.text
    assert await world.value("SELECT verified_at FROM users") is not None
    again = await world.http.post("/verify-email", data=form, headers=ours)
    assert again.status_code == 400
    assert "does not work any more" in again.text


async def forgotten(world: World, address: str = ADA) -> str | None:
    """The token that comes by mail."""
    asked = await world.http.post("/api/v1/auth/forgot-password", json={"email": address})
    assert asked.status_code == 202
    assert asked.json() == {"message": "if the address has an account, a link is on its way"}
    await world.work()
    links = [re.search(r"reset-password\?token=(\S+)", mail.get_body(("plain",)).get_content())
             for mail in world.mails(address.lower())]  # fmt: skip
    found = [link[1] for link in links if link]
    return found[-1] if found else None


async def test_a_forgotten_password_is_chosen_anew(world: World) -> None:
    await world.user(ADA)
    token = await forgotten(world, "Ada@example.com")
    new = "a new password of mine"
    path = "/api/v1/auth/reset-password"
    short = await world.http.post(path, json={"token": token, "password": "short"})
    assert short.status_code == 400
    changed = await world.http.post(path, json={"token": token, "password": new})
    assert changed.json() == {"message": "password changed"}
    assert (await world.sign_in(ADA, new)).status_code == 200
    assert (await world.sign_in(ADA, PASSWORD)).status_code == 401
    again = await world.http.post(path, json={"token": token, "password": PASSWORD})
    assert (again.status_code, again.json()["error"]) == (400, "invalid token")


async def test_a_new_password_ends_all_sessions(world: World) -> None:
    ada, bob = await world.user(ADA), await world.user("bob@example.com")
    thief = ada.headers
    assert (await world.http.get("/api/v1/users/me", headers=thief)).status_code == 200
    body = {"token": await forgotten(world), "password": "a new password of mine"}
    assert (await world.http.post("/api/v1/auth/reset-password", json=body)).status_code == 200
    assert (await world.http.get("/api/v1/users/me", headers=thief)).status_code == 401
    assert (await world.http.delete("/api/v1/users/me", headers=thief)).status_code == 401
    assert (await bob.get("/api/v1/users/me")).status_code == 200
    signed_in = await world.sign_in(ADA, "a new password of mine")
    headers = {"Authorization": f"Bearer {signed_in.json()['token']}"}
    assert (await world.http.get("/api/v1/users/me", headers=headers)).status_code == 200


async def test_a_link_for_a_new_password_works_once_and_for_an_hour(world: World) -> None:
    await world.user(ADA)
    first = str(await forgotten(world))
    assert first not in str(await world.rows("SELECT * FROM password_resets"))
    assert first not in str(await world.rows("SELECT args FROM procrastinate_jobs"))
    await world.rows("UPDATE password_resets SET expires_at = now() - interval '1 second'")
    path = "/api/v1/auth/reset-password"
    refused = await world.http.post(path, json={"token": first, "password": PASSWORD})
    assert refused.status_code == 400
    second = await forgotten(world)
    await world.rows("UPDATE password_resets SET expires_at = now() + interval '1 hour'")
    assert (
        await world.http.post(path, json={"token": second, "password": PASSWORD})
    ).status_code == 200
    late = await world.http.post(path, json={"token": first, "password": PASSWORD})
    assert late.status_code == 400, "using one uses up the others"


async def test_asking_for_a_new_password_tells_nobody_who_is_there(world: World) -> None:
    for address in ("nobody@example.com", "nonsense"):
        assert await forgotten(world, address) is None
    await world.register(ADA)
    await world.work()
    assert await forgotten(world) is None, "it is not verified"
    for _ in range(2):
        await world.http.post("/api/v1/auth/forgot-password", json={"email": ADA})
    limited = await world.http.post("/api/v1/auth/forgot-password", json={"email": ADA})
    assert limited.status_code == 429


async def test_who_mistypes_does_not_use_up_the_tries_of_others(world: World) -> None:
    for number in range(5):
        assert await forgotten(world, f"ada {number}@example.com") is None
    assert await forgotten(world, "bob @example.com") is None


async def test_registering_elsewhere_does_not_keep_the_owner_out(world: World) -> None:
    for _ in range(4):
        tried = await world.register(ADA)
    assert tried.status_code == 429
    transport = httpx.ASGITransport(world.app, client=("198.51.100.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as own:
        body = {"email": ADA, "password": PASSWORD, "name": "Ada"}
        assert (await own.post("/api/v1/auth/register", json=body)).status_code == 202


async def test_signing_in_does_not_count_as_guessing(world: World) -> None:
    user = await world.user(ADA)
    password_hash = auth.hash_password(PASSWORD)
    await world.rows("UPDATE users SET password_hash = %s WHERE id = %s", password_hash, user.id)
    for _ in range(12):
        assert (await world.sign_in(ADA)).status_code == 200


async def test_looking_at_a_link_does_not_use_it_up(world: World) -> None:
    await world.register(ADA)
    await world.work()
    url = f"/api/v1/auth/verify-email?token={world.token_mailed_to(ADA)}"
    assert (await world.http.head(url)).status_code == 200
    assert (await world.http.get(url)).status_code == 200


async def test_guessing_elsewhere_does_not_lock_the_owner_out(
    with_settings: Callable[..., Any],
) -> None:
    async with with_settings() as world:
        user = await world.user(ADA)
        await world.rows(
            "UPDATE users SET password_hash = %s WHERE id = %s",
            auth.hash_password(PASSWORD),
            user.id,
        )
        for _ in range(11):
            guessed = await world.sign_in(ADA, "a wrong password")
        assert guessed.status_code == 429
        transport = httpx.ASGITransport(world.app, client=("198.51.100.9", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as own:
            answer = await own.post("/api/v1/auth/login", json={"email": ADA, "password": PASSWORD})
        assert answer.status_code == 200


async def test_nobody_is_mailed_of_more_than_five_deletions_a_day(world: World) -> None:
    ada = await world.user()
    for _ in range(5):
        assert (await ada.call("DELETE", "/api/v1/users/me")).status_code == 202
        assert (await ada.post("/api/v1/users/me/restore")).status_code == 200
    refused = await ada.call("DELETE", "/api/v1/users/me")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert (await ada.get("/api/v1/users/me")).json()["delete_after"] is None


async def test_a_new_password_is_told_by_mail(world: World) -> None:
    await world.user(ADA)
    body = {"token": await forgotten(world), "password": "a new password of mine"}
    await world.http.post("/api/v1/auth/reset-password", json=body)
    await world.work()
    [_, told] = world.mails(ADA)
    assert told["Subject"] == "Your ActiveLog password is a new one"
    assert "If it was not you" in told.get_body(("plain",)).get_content()


async def test_a_second_link_changes_no_account_that_is_verified(world: World) -> None:
    """Of two that were mailed, somebody opens one; who finds the other sets no password."""
    headers = {"Authorization": f"Bearer {(await world.register(ADA)).json()['token']}"}
    await world.http.post("/api/v1/auth/resend-verification", headers=headers)
    await world.work()
    links = [re.search(r"token=([\w-]+)", mail.get_body(("plain",)).get_content())
             for mail in world.mails(ADA)]  # fmt: skip
    first, second = [found[1] for found in links if found]
    await world.http.get(f"/api/v1/auth/verify-email?token={first}")
    form = {"token": second, "password": "a password of somebody else"}
    ours = {"Origin": world.settings.base_url}
    assert (await world.http.post("/verify-email", data=form, headers=ours)).status_code == 400
    assert (await world.sign_in(ADA, PASSWORD)).status_code == 200
