"""API tokens: what each scope opens, and what none of them does."""

from typing import Any

import httpx
import pytest

from tests.conftest import PASSWORD, User, World

AT = "/api/v1/users/me/tokens"
NEW = {"activity_type": "run", "duration_minutes": 30, "activity_date": "2024-01-15T06:30:00Z"}


async def make(user: User, *scopes: str, name: str = "backup", **fields: Any) -> str:
    made = await user.post(AT, json={"name": name, "scopes": list(scopes)} | fields)
    assert made.status_code == 201, made.text
    token: str = made.json()["token"]
    return token


async def ask(world: World, token: str, method: str, path: str, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return await world.http.request(method, path, headers=headers, **options)


async def test_a_scope_opens_what_it_names(world: World) -> None:
    ada = await world.user()
    read, write, export = [await make(ada, one, name=one) for one in ("read", "write", "export")]
    job = "/api/v1/activities/export/csv"
    for method, path, body, good in (
        ("GET", "/api/v1/activities", None, read),
        ("POST", "/api/v1/activities", NEW, write),
        ("POST", job, {}, export),
        ("GET", f"{job}/download", None, export),
    ):
        for token in (read, write, export):
            answer = await ask(world, token, method, path, json=body)
            assert answer.is_success == (token == good), (method, path, answer.text)
            if token != good:
                assert answer.status_code == 403
                assert "lacks the scope" in answer.text


async def test_a_job_links_to_its_file_for_those_who_may_export(world: World) -> None:
    ada = await world.user()
    await ada.log()
    read, write, export = [await make(ada, one, name=one) for one in ("read", "write", "export")]
    asked = await ask(world, export, "POST", "/api/v1/activities/export/csv", json={})
    await world.work()
    for path in (f"/api/v1/jobs/{asked.json()['job_id']}", asked.json()["status_url"] + "/events"):
        for token in (read, write, export):
            answer = await ask(world, token, "GET", path)
            assert answer.status_code == 200
            assert ("signature=" in answer.text) == (token == export)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/users/me/password", {"current_password": PASSWORD, "password": "x" * 12}),
        ("POST", "/api/v1/users/me/email", {"email": "x@example.com", "password": PASSWORD}),
        ("DELETE", "/api/v1/users/me", None),
        ("POST", "/api/v1/users/me/restore", None),
        ("DELETE", "/api/v1/auth/sessions", None),
        ("GET", "/api/v1/auth/sessions", None),
        ("POST", "/api/v1/auth/logout", None),
        ("GET", AT, None),
        ("POST", AT, {"name": "more", "scopes": ["read"]}),
        ("DELETE", f"{AT}?name=backup", None),
    ],
)
async def test_no_token_opens_the_account(
    world: World, method: str, path: str, body: dict[str, Any] | None
) -> None:
    token = await make(await world.user(), "read", "write", "export", "admin")
    answer = await ask(world, token, method, path, json=body)
    assert answer.status_code == 403
    assert "sign in" in answer.text


async def test_a_token_ends_when_it_is_revoked_or_its_time_is_over(world: World) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    token, short = await make(ada, "read"), await make(ada, "read", name="short", days=1)
    assert (await ask(world, short, "GET", "/api/v1/activities")).status_code == 200
    await world.rows("UPDATE api_tokens SET expires_at = now() WHERE name = 'short'")
    assert (await ask(world, short, "GET", "/api/v1/activities")).status_code == 401
    assert (await eve.call("DELETE", f"{AT}?name=backup")).status_code == 404
    assert (await ask(world, token, "GET", "/api/v1/activities")).status_code == 200
    assert (await ada.call("DELETE", f"{AT}?name=backup")).status_code == 204
    assert (await ask(world, token, "GET", "/api/v1/activities")).status_code == 401
    assert (await ada.call("DELETE", f"{AT}?name=backup")).status_code == 404


async def test_tokens_are_listed_without_themselves(world: World) -> None:
    ada = await world.user()
    token = await make(ada, "read", "export")
    await ask(world, token, "GET", "/api/v1/activities")
    answer = await ada.get(AT)
    [listed] = answer.json()["tokens"]
    assert (listed["name"], listed["scopes"]) == ("backup", ["read", "export"])
    assert listed["last_used_at"] is not None
    assert token not in answer.text
    assert token not in str(await world.rows("SELECT * FROM api_tokens"))


async def test_names_are_unique_and_there_are_fifty_at_most(world: World) -> None:
    ada = await world.user()
    for number in range(50):
        await make(ada, "read", name=f"token {number}")
        if number == 1:
            again = await ada.post(AT, json={"name": "token 1", "scopes": ["read"]})
            assert (again.status_code, "revoke it first" in again.text) == (409, True)
    refused = await ada.post(AT, json={"name": "one more", "scopes": ["read"]})
    assert (refused.status_code, "fifty" in refused.text) == (409, True)
    for body in (
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["all"]},
        {"scopes": ["read"]},
    ):
        assert (await ada.post(AT, json=body)).status_code == 400


async def test_only_an_admins_token_is_one_for_admins(world: World) -> None:
    ada = await world.user()
    token = await make(ada, "admin")
    assert (await ask(world, token, "GET", "/api/v1/admin/queues")).status_code == 404
    await world.rows("UPDATE users SET is_admin = true")
    assert (await ask(world, token, "GET", "/api/v1/admin/queues")).status_code == 200
    read = await make(ada, "read", name="read")
    assert (await ask(world, read, "GET", "/api/v1/admin/queues")).status_code == 403
