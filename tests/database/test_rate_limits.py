"""So many in a window, for all processes together."""

import pytest

from activelog.base.errors import AppError
from activelog.database import rate_limits
from activelog.database.rate_limits import RateLimit
from tests.conftest import World

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
