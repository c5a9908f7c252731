"""So many in a window, for all processes together."""

import pytest

from activelog.base.errors import AppError
from activelog.database import rate_limits
from activelog.database.rate_limits import RateLimit
from tests.conftest import PASSWORD, World
from tests.security.test_sessions import ADA, registered

TWICE = RateLimit("test", 2, 60)


async def take(world: World, subject: str = "ada") -> None:
    async with world.pool.connection() as conn:
        await rate_limits.take(conn, TWICE, subject)


async def refused(world: World) -> AppError:
    with pytest.raises(AppError) as caught:
        await take(world)
    return caught.value


async def test_a_window_lets_so_many_through_and_another_one_opens(world: World) -> None:
    for _ in range(2):
        for _ in range(2):
            await take(world)
        error = await refused(world)
        assert error.status == 429
        assert error.retry_after is not None
        assert 50 <= error.retry_after <= 60, "until the window ends, which does not move"
        await world.rows("UPDATE limits SET window_ends = now()")
    await take(world)
    await take(world, "eve")


async def test_what_is_given_back_does_not_count(world: World) -> None:
    for _ in range(2):
        await take(world)
    async with world.pool.connection() as conn:
        await rate_limits.give_back(conn, [(TWICE, "ada"), (TWICE, "nobody")])
    await take(world)
    await refused(world)


async def test_answers_tell_what_is_left_of_ones_own_limits(world: World) -> None:
    ada = await world.user()
    for left in (49, 48):
        answer = await ada.post("/api/v1/friends/requests", json={"email": "x@example.com"})
        assert answer.headers["RateLimit-Policy"] == '"friend-request";q=50;w=86400'
        assert answer.headers["RateLimit"].startswith(f'"friend-request";r={left};t=8')
    await world.rows("UPDATE limits SET hits = 50")
    refused = await ada.post("/api/v1/friends/requests", json={"email": "x@example.com"})
    assert refused.status_code == 429
    assert '";r=0;t=' in refused.headers["RateLimit"]
    assert "RateLimit" not in (await ada.get("/api/v1/activities")).headers


async def test_what_others_use_up_is_not_told(world: World) -> None:
    """Or anybody could learn who signs in, asks for a new password or registers elsewhere."""
    body = {"email": "ada@example.com"}
    answer = await world.http.post("/api/v1/auth/forgot-password", json=body)
    assert answer.headers["RateLimit-Policy"] == '"reset:host";q=60;w=3600'
    answer = await world.http.post("/api/v1/auth/login", json=body | {"password": "wrong"})
    told = answer.headers["RateLimit"]
    assert '"sign-in:host"' in told
    assert '"sign-in:email"' not in told
    assert '"sign-in:email-network"' not in told


async def test_a_guess_that_was_right_is_not_told_as_taken(world: World) -> None:
    await registered(world)
    answer = await world.sign_in(ADA, PASSWORD)
    assert answer.status_code == 200
    assert '"sign-in:host"' in answer.headers["RateLimit"]
    assert '"sign-in:email-host"' not in answer.headers["RateLimit"]
