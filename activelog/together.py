"""Round trips shared by calls that come at the same time.

What sixteen jobs or requests ask for one by one costs sixteen statements, commits and wake-ups;
asked for together it is one. A call never waits for company: it joins those that came while
earlier ones were under way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg

from activelog.db import Conn, Pool

_MOST = 100  # in one statement
_AT_ONCE = 2  # statements of one query: what waits for a lock does not stop all others

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")
Query = Callable[[Conn, Sequence[Ask]], Awaitable[Sequence[Answer]]]


@dataclass
class _Line:
    waiting: list[tuple[Any, asyncio.Future[Any]]] = field(default_factory=list)
    served: int = 0  # at once


class Together:
    """`await together(query, ask)` is the answer of `query(conn, asks)` to one ask. `query` is one
    statement; it answers in the order of the asks, and runs again for each alone when one of them
    makes it fail."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lines: dict[Any, _Line] = {}
        self._servers: set[asyncio.Task[None]] = set()

    async def __call__(self, query: Query[Ask, Answer], ask: Ask) -> Answer:
        line = self._lines.setdefault(query, _Line())
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        line.waiting.append((ask, answer))
        if line.served < _AT_ONCE:
            line.served += 1
            server = asyncio.create_task(self._serve(query, line))
            self._servers.add(server)
            server.add_done_callback(self._servers.discard)
        return await answer

    async def _serve(self, query: Query[Any, Any], line: _Line) -> None:
        try:
            while line.waiting:
                taken, line.waiting = line.waiting[:_MOST], line.waiting[_MOST:]
                wanted = [(ask, answer) for ask, answer in taken if not answer.cancelled()]
                if wanted:
                    await self._run(query, wanted)
        finally:
            # In the same breath as the last look at what waits: whoever comes now is served anew.
            line.served -= 1

    async def _run(
        self, query: Query[Any, Any], wanted: Sequence[tuple[Any, asyncio.Future[Any]]]
    ) -> None:
        try:
            async with self._pool.connection() as conn:
                found = await query(conn, [ask for ask, _ in wanted])
        except Exception as error:
            if len(wanted) == 1 or isinstance(error, psycopg.OperationalError):
                _settle_all(wanted, error)
            else:
                for one in wanted:
                    await self._run(query, [one])
        else:
            for (_, answer), value in zip(wanted, found, strict=True):
                if not answer.done():
                    answer.set_result(value)


def _settle_all(wanted: Sequence[tuple[Any, asyncio.Future[Any]]], error: Exception) -> None:
    for _, answer in wanted:
        if not answer.done():
            answer.set_exception(error)
