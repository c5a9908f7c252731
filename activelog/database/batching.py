"""Round trips shared by calls that come at the same time.

What sixteen jobs or requests ask for one by one costs sixteen statements, commits and wake-ups;
asked for together it is one. A call never waits for company: it joins those that came while
earlier ones were under way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from activelog.database import Conn, Pool, is_away

_MOST = 100  # in one statement
_AT_ONCE = 2  # statements of one query
_ALONE = 10  # statements of one call each, after one of them held up the others
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
        self._alone = asyncio.Semaphore(_ALONE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, query: Query[Ask, Answer], ask: Ask) -> Answer:
        waiting = self._waiting.setdefault(query, _Waiting())
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiting.calls.append((ask, answer))
        self._serve_more(query, waiting)
        return await answer

    async def _serve(self, query: Query[Any, Any], waiting: _Waiting) -> None:
        """One of _AT_ONCE, until nothing waits or a statement takes too long: then it steps aside,
        and another one serves the others."""
        is_counted, loop = True, asyncio.get_running_loop()

        def step_aside() -> None:
            nonlocal is_counted
            is_counted = False
            waiting.at_work -= 1
            self._serve_more(query, waiting)

        try:
            while waiting.calls and is_counted:
                taken, waiting.calls = waiting.calls[:_MOST], waiting.calls[_MOST:]
                wanted = [(ask, answer) for ask, answer in taken if not answer.cancelled()]
                timer = loop.call_later(_PATIENCE, step_aside)
                if wanted:
                    await self._run(query, wanted)
                timer.cancel()
        finally:
            # No await stands between the last look at `calls` and this line: a call that comes
            # now starts a new server.
            waiting.at_work -= is_counted

    def _serve_more(self, query: Query[Any, Any], waiting: _Waiting) -> None:
        if waiting.calls and waiting.at_work < _AT_ONCE:
            waiting.at_work += 1
            self._start(self._serve(query, waiting))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, query: Query[Any, Any], wanted: Sequence[_Call]) -> None:
        try:
            async with self._pool.connection() as conn:
                found = await _ask(conn, query, [ask for ask, _ in wanted])
        except Exception as error:
            if len(wanted) == 1 or is_away(error):
                _settle_all(wanted, error)
            else:
                for one in wanted:
                    self._start(self._run_alone(query, one))
        else:
            for (_, answer), value in zip(wanted, found, strict=True):
                if not answer.done():
                    answer.set_result(value)

    async def _run_alone(self, query: Query[Any, Any], one: _Call) -> None:
        async with self._alone:
            await self._run(query, [one])


async def _ask(conn: Conn, query: Query[Any, Any], asks: Sequence[Any]) -> Sequence[Any]:
    """Raises QueryCanceled when several asks wait for a lock: one of them holds up the others."""
    if len(asks) == 1:
        return await query(conn, asks)
    loop = asyncio.get_running_loop()
    cancelling: list[asyncio.Task[None]] = []
    timer = loop.call_later(
        _PATIENCE, lambda: cancelling.append(asyncio.create_task(conn.cancel_safe()))
    )
    try:
        return await query(conn, asks)
    finally:
        timer.cancel()
        if cancelling:  # or it would cancel what the connection does next, for somebody else
            await asyncio.shield(asyncio.wait(cancelling))


def _settle_all(wanted: Sequence[_Call], error: Exception) -> None:
    for _, answer in wanted:
        if not answer.done():
            answer.set_exception(error)
