"""Calls at the same time share a statement, and nothing else."""

import asyncio
from collections.abc import Sequence

import psycopg
import pytest

from activelog import database
from activelog.database import Conn
from activelog.database.batching import Batcher
from tests.conftest import World

HUNDREDTHS = "SELECT 100 / n FROM unnest(%s::integer[]) WITH ORDINALITY AS w (n, at) ORDER BY at"


class Divide:
    """A query that remembers what was asked together."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    async def __call__(self, conn: Conn, numbers: Sequence[int]) -> list[int]:
        self.asked.append(list(numbers))
        cursor = await conn.execute(HUNDREDTHS, [list(numbers)])
        return [found for (found,) in await cursor.fetchall()]


async def test_calls_at_once_share_a_statement_and_get_their_own_answers(world: World) -> None:
    divide, batch = Divide(), world.services.batch
    answers = await asyncio.gather(*(batch(divide, n) for n in range(1, 51)))
    assert answers == [100 // n for n in range(1, 51)]
    assert divide.asked == [list(range(1, 51))]


async def test_one_that_fails_fails_alone(world: World) -> None:
    divide, batch = Divide(), world.services.batch
    calls = (batch(divide, n) for n in (1, 0, 4))
    first, bad, last = await asyncio.gather(*calls, return_exceptions=True)
    assert (first, last) == (100, 25)
    assert isinstance(bad, psycopg.errors.DivisionByZero)


async def test_who_gives_up_does_not_hold_others_up(world: World) -> None:
    divide, batch = Divide(), world.services.batch
    gone, stays = (asyncio.create_task(batch(divide, n)) for n in (2, 5))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 20
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await batch(divide, 10) == 10


async def test_who_asks_again_at_the_very_end_is_served(world: World) -> None:
    gate, batch = asyncio.Event(), world.services.batch

    async def echo(conn: Conn, numbers: Sequence[int]) -> Sequence[int]:
        await gate.wait()
        return numbers

    async def twice() -> int:
        await batch(echo, 1)
        return await batch(echo, 2)

    first = asyncio.create_task(twice())
    await asyncio.sleep(0.1)
    second = asyncio.create_task(batch(echo, 3))
    await asyncio.sleep(0.1)
    gate.set()  # both statements end at once
    async with asyncio.timeout(10):
        assert (await first, await second) == (2, 3)


async def test_nobody_waits_for_a_lock_on_somebody_elses_row(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    async with world.pool.connection() as other, other.transaction():
        await other.execute("SELECT FROM users WHERE id = %s FOR UPDATE", [ada.id])
        # Some of Bob's come in one statement with Ada's, others behind them.
        waiting = [asyncio.create_task(ada.log()) for _ in range(4)]
        logged = [asyncio.create_task(bob.log()) for _ in range(4)]
        await asyncio.wait_for(asyncio.gather(*logged), 10)
        await asyncio.wait_for(bob.log(), 10)
        assert not any(task.done() for task in waiting)
    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert await world.value("SELECT count(*) FROM activities") == 9


async def test_a_batch_that_is_slow_cancels_nobody_elses_statement(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends in the moment in which it is cancelled, and its connection goes on to somebody."""
    monkeypatch.setattr("activelog.database.batching._PATIENCE", 0.05)

    async def slow(conn: Conn, numbers: Sequence[float]) -> list[float]:
        await conn.execute("SELECT pg_sleep(%s)", [max(numbers)])
        return list(numbers)

    async with database.make_pool(world.settings.database_url, max_size=1, application="t") as pool:
        batch = Batcher(pool)
        for delay in range(20):
            seconds = 0.045 + delay / 2000
            await asyncio.gather(*(batch(slow, seconds) for _ in range(4)), return_exceptions=True)
            async with pool.connection() as conn:
                await conn.execute("SELECT pg_sleep(0.01)")
