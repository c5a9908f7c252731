"""Round trips shared by calls that come at the same time.

What sixteen jobs or requests ask for one by one costs sixteen statements, commits and wake-ups;
asked for together it is one. A call never waits for company: it joins those that came while
earlier ones were under way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from activelog.database import Conn, Pool, is_away

_MOST = 100  # in one statement
_AT_ONCE = 2  # statements of one query
# Seconds. What takes longer waits for somebody's lock: then its calls run each alone, and others
# do not wait for it.
_PATIENCE = 0.5

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")
Query = Callable[[Conn, Sequence[Ask]], Awaitable[Sequence[Answer]]]
_Call = tuple[Any, asyncio.Future[Any]]


@dataclass
class _Waiting:
    calls: list[_Call] = field(default_factory=list)
    at_work: int = 0  # statements


class Batcher:
    """`await batch(query, ask)` is the answer of `query(conn, asks)` to one ask. `query` is one
    statement; it answers in the order of the asks, and runs again for each alone when one of them
    makes it fail."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: dict[Any, _Waiting] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, query: Query[Ask, Answer], ask: Ask) -> Answer:
        waiting = self._waiting.setdefault(query, _Waiting())
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiting.calls.append((ask, answer))
        if waiting.at_work < _AT_ONCE:
            waiting.at_work += 1
            server = asyncio.create_task(self._serve(query, waiting))
            self._tasks.add(server)
            server.add_done_callback(self._tasks.discard)
        return await answer

    async def _serve(self, query: Query[Any, Any], waiting: _Waiting) -> None:
        try:
            while waiting.calls:
                taken, waiting.calls = waiting.calls[:_MOST], waiting.calls[_MOST:]
                wanted = [(ask, answer) for ask, answer in taken if not answer.cancelled()]
                if wanted:
                    await asyncio.wait([self._start(query, wanted)], timeout=_PATIENCE)
        finally:
            # In the same breath as the last look at what waits: whoever comes now is served anew.
            waiting.at_work -= 1

    def _start(self, query: Query[Any, Any], wanted: Sequence[_Call]) -> asyncio.Task[None]:
        run = asyncio.create_task(self._run(query, wanted))
        self._tasks.add(run)
        run.add_done_callback(self._tasks.discard)
        return run

    async def _run(self, query: Query[Any, Any], wanted: Sequence[_Call]) -> None:
        try:
            async with self._pool.connection() as conn:
                found = await _ask(conn, query, [ask for ask, _ in wanted])
        except Exception as error:
            if len(wanted) == 1 or is_away(error):
                _settle_all(wanted, error)
            else:
                for one in wanted:
                    self._start(query, [one])
        else:
            for (_, answer), value in zip(wanted, found, strict=True):
                if not answer.done():
                    answer.set_result(value)


async def _ask(conn: Conn, query: Query[Any, Any], asks: Sequence[Any]) -> Sequence[Any]:
    """Raises QueryCanceled when several asks wait for a lock: one of them holds up the others."""
    if len(asks) == 1:
        return await query(conn, asks)
    work = asyncio.ensure_future(query(conn, asks))
    try:
        await asyncio.wait([work], timeout=_PATIENCE)
        if not work.done():
            await conn.cancel_safe()
        return await work
    finally:
        work.cancel()


def _settle_all(wanted: Sequence[_Call], error: Exception) -> None:
    for _, answer in wanted:
        if not answer.done():
            answer.set_exception(error)
