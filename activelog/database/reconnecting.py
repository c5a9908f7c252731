"""A connection of the worker's own that comes back when Postgres does."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg

from activelog.database.connections import Conn, connect

LONGEST_WORK = 60.0  # seconds; then the connection counts as broken: nothing else would tell

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_LAST_WORK = 10.0  # seconds for what is to be written at the very end

# A worker's statements are prepared, look the same whatever their parameters, and have an index; a
# table that filled up a second ago has no statistics that say so.
_SETTINGS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}

T = TypeVar("T")
logger = logging.getLogger(__name__)


class DatabaseGone(Exception):
    """Postgres stayed away for too long: the worker exits non-zero."""


class ReconnectingConnection:
    """`await connection(work)` runs `work(conn)`, and again after reconnecting if the connection
    breaks, so `work` must be harmless when repeated. `on_reconnect` runs first after a break.
    After `patience` seconds without a connection it raises DatabaseGone; after `stop_trying_in`
    also when there is one, and the work fails.
    """

    def __init__(
        self,
        url: str,
        patience: float,
        on_reconnect: Callable[[Conn], Awaitable[None]] | None = None,
    ) -> None:
        self._patience = patience
        self._last_try = math.inf
        self.is_broken = False
        self._url = url
        self._on_reconnect = on_reconnect
        self._conn: Conn | None = None
        self._busy = asyncio.Lock()

    def stop_trying_in(self, seconds: float) -> None:
        self._patience = min(self._patience, seconds)
        self._last_try = min(self._last_try, time.monotonic() + seconds + _LAST_WORK)

    async def __call__(self, work: Callable[[Conn], Awaitable[T]]) -> T:
        async with self._busy:
            began, pause = time.monotonic(), _FIRST_PAUSE
            while True:
                try:
                    async with asyncio.timeout(LONGEST_WORK):
                        conn = await self._connected()
                        began = time.monotonic()  # it is there; what is slow is the work
                        return await work(conn)
                except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
                    self.is_broken = True
                    await self.close()
                    reason = str(error).strip() or "no answer"
                    now = time.monotonic()
                    if now - began > self._patience or now > self._last_try:
                        raise DatabaseGone(f"Postgres is gone: {reason}") from error
                    logger.warning("Waiting for Postgres: %s", reason)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)

    async def close(self) -> None:
        if self._conn is not None:
            await self._conn.close()
            self._conn = None

    async def _connected(self) -> Conn:
        if self._conn is None or self._conn.closed:
            self._conn = await connect(
                self._url, "activelog worker", _SETTINGS, prepare_threshold=0
            )
        if self.is_broken and self._on_reconnect is not None:
            await self._on_reconnect(self._conn)
        self.is_broken = False
        return self._conn
