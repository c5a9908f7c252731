"""Every route for every kind of visitor, from the route table: a new route cannot be forgotten.

A visitor is nobody, somebody with a forged token, or Eve, who has an account and asks for what is
Ada's. Eve never gets an answer of 2xx for one of Ada's ids, and nothing of Ada's changes.
"""

from typing import Any
from uuid import UUID

import pytest

from activelog.http import Endpoint
from activelog.http.pages import Page
from activelog.web import ENDPOINTS, PAGES
from tests.activities.test_photos import picture
from tests.conftest import User, World
from tests.exports.test_csv_export import request
from tests.imports.test_import import finish

PUBLIC = {
    "/api/v1/auth/register", "/api/v1/auth/login", "/api/v1/auth/verify-email",
    "/api/v1/auth/forgot-password", "/api/v1/auth/reset-password",
}  # fmt: skip
ROWS = """
SELECT (SELECT count(*) FROM activities WHERE deleted_at IS NULL), (SELECT count(*) FROM photos),
       (SELECT count(*) FROM exports), (SELECT count(*) FROM friendships),
       (SELECT count(*) FROM friend_requests WHERE state = 'pending'),
       (SELECT count(*) FROM blocks), (SELECT count(*) FROM session_endings)
"""


def name_of(route: Endpoint | Page) -> str:
    return f"{route.method} {route.path}"


def ids_for(route: Endpoint | Page) -> dict[str, str]:
    """Of nothing that there is, in the form that the route takes."""
    known = {int: "7", UUID: "a1b2c3d4-5e6f-4708-9a0b-c1d2e3f4a5b6"}
    return {name: known.get(kind, "welcome") for name, kind in route.parameters.items()}


async def belongings(world: World, ada: User) -> dict[str, Any]:
    """One of everything that has an id in a path."""
    activity = await ada.log()
    photo = (
        await ada.post(f"/api/v1/activities/{activity['id']}/photos", content=picture())
    ).json()
    job = await request(ada)
    await finish(ada, job)
    friend, asking, blocked = [await world.user(f"{name}@example.com") for name in "xyz"]
    await world.rows(
        "INSERT INTO friendships (user_id, friend_id) VALUES (%s, %s), (%s, %s)",
        ada.id, friend.id, friend.id, ada.id,
    )  # fmt: skip
    await asking.post("/api/v1/friends/requests", json={"email": ada.address})
    await world.rows("INSERT INTO blocks (user_id, blocked_id) VALUES (%s, %s)", ada.id, blocked.id)
    await world.rows(
        "INSERT INTO sessions (user_id, started_at, host, agent)"
        " VALUES (%s, 'epoch'::timestamptz + interval '1705329000 seconds', '', '')", ada.id,
    )  # fmt: skip
    return {
        "activity_id": activity["id"],
        "photo_id": photo["id"],
        "job_id": job["job_id"],
        "export_id": job["job_id"],
        "month": "2024-01",
        "friend_id": friend.id,
        "request_id": await world.value("SELECT id FROM friend_requests"),
        "blocked_id": blocked.id,
        "session_id": 1705329000 * 10**6,
    }


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=name_of)
async def test_nobody_and_forgers_get_401_where_a_token_is_needed(
    endpoint: Endpoint, world: World
) -> None:
    assert endpoint.needs_token != (endpoint.path in PUBLIC)
    path = endpoint.path.format_map(ids_for(endpoint))
    for headers in ({}, {"Authorization": "Bearer forged.token.here"}):
        answer = await world.http.request(endpoint.method, path, headers=headers)
        expected = {401} if endpoint.needs_token else {200, 202, 400, 422}
        if "/download" in path and endpoint.needs_token:
            expected |= {400, 404}  # of what is not there, whoever asks
        assert answer.status_code in expected, answer.text


@pytest.mark.parametrize("page", PAGES, ids=name_of)
async def test_pages_send_nobody_to_sign_in_and_show_admins_alone_what_is_theirs(
    page: Page, world: World
) -> None:
    if page.needs == "nobody":
        return
    path = page.path.format_map(ids_for(page))
    answer = await world.http.request(page.method, path)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/sign-in")
    if page.needs == "admin":
        eve = await world.user("eve@example.com")
        token = eve.headers["Authorization"].split()[1]
        world.http.cookies.set("activelog_session", token)
        ours = {"Origin": world.settings.base_url}
        answer = await world.http.request(page.method, path, headers=ours)
        assert answer.status_code == 404


@pytest.mark.slow
async def test_nobody_gets_at_or_changes_what_is_somebody_elses(world: World) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    things = await belongings(world, ada)
    before = await world.rows(ROWS)
    cookie = eve.headers["Authorization"].split()[1]
    asked = 0
    for endpoint in ENDPOINTS:
        if endpoint.path_names:
            path = endpoint.path.format_map(things)
            body: dict[str, Any] | None = None if endpoint.method in ("GET", "DELETE") else {}
            answer = await eve.call(endpoint.method, path, json=body)
            assert answer.status_code in (400, 404), (name_of(endpoint), answer.text)
            asked += 1
    world.http.cookies.set("activelog_session", cookie)
    ours = {"Origin": world.settings.base_url}
    for page in PAGES:
        if "{" in page.path and page.needs == "user":
            path = page.path.format_map(things)
            answer = await world.http.request(page.method, path, headers=ours, data={})
            assert answer.status_code in (400, 404), (name_of(page), answer.status_code)
            asked += 1
    assert asked > 25
    assert await world.rows(ROWS) == before
