"""Reading from a replica what need not take the primary's time: exports, reports, statistics, old
pages of lists, the operator's pages."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from psycopg import OperationalError
from psycopg.errors import SerializationFailure

from activelog.database.connections import Conn, ReplicaConnection, is_away
from activelog.database.pool import Pool, make_pool
from activelog.database.statements import value

_PATIENCE = 0.5  # seconds for a connection, and for what was committed to arrive
_LOOK_AGAIN = 0.01  # seconds
_LEFT_OUT = 10.0  # seconds, after it lagged or was away

# A commit that was acknowledged is flushed to the WAL, except with synchronous_commit = off.
_COMMITTED = b"""
SELECT (CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn()
        ELSE pg_current_wal_flush_lsn() END)::text"""
_HAS = b"SELECT coalesce(pg_last_wal_replay_lsn() >= %(committed)s::pg_lsn, false)"

_LOCK_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Reader:
    """Gives connections to read with, as a pool does. `url` None: all are the primary's."""

    def __init__(
        self, primary: Pool, url: str | None, *, size: int | None, is_pooled: bool
    ) -> None:
        self._primary = primary
        self._replica = url and make_pool(
            url,
            max_size=size,
            application="activelog reader",
            is_pooled=is_pooled,
            lock_seconds=_LOCK_SECONDS,
            connections=ReplicaConnection,
        )
        self._left_out_until = 0.0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        """It sees at least what was committed before it was asked for: the replica's when it has
        that, or else the primary's. When a replica breaks off in the middle, the next one is the
        primary's."""
        async with AsyncExitStack() as stack:
            replica = await self._enter_replica(stack)
            if replica is None:
                yield await stack.enter_async_context(self._primary.connection())
                return
            try:
                yield replica
            except OperationalError as error:
                # Not for a statement that took longer than its caller wants to wait.
                if is_away(error) or isinstance(error, SerializationFailure):
                    self._leave_out(error)
                raise

    async def problem(self) -> str | None:
        """Why it is not read from now, in words for people."""
        self._left_out_until = 0.0
        async with AsyncExitStack() as stack:
            replica = await self._enter_replica(stack)
        return None if replica else f"it is away or lags by more than {_PATIENCE:g} s: look at it"

    async def close(self) -> None:
        if self._replica:
            await self._replica.close()

    async def _enter_replica(self, stack: AsyncExitStack) -> Conn | None:
        if not self._replica or time.monotonic() < self._left_out_until:
            return None
        async with self._primary.connection() as conn:
            committed = await value(conn, _COMMITTED, {})
        try:
            await self._replica.open()  # at the first time
            async with AsyncExitStack() as entered:
                conn = await entered.enter_async_context(self._replica.connection(_PATIENCE))
                if not await _has(conn, committed):
                    raise OperationalError("it lags")
                await stack.enter_async_context(entered.pop_all())
                return conn
        except OperationalError as error:
            self._leave_out(error)
            return None

    def _leave_out(self, error: OperationalError) -> None:
        if time.monotonic() >= self._left_out_until:
            message = str(error).strip()
            logger.warning("The replica is left out for %g s: %s", _LEFT_OUT, message)
        self._left_out_until = time.monotonic() + _LEFT_OUT


async def _has(conn: Conn, committed: str) -> bool:
    """Whether it has replayed that, or does within our patience. (What was promoted meanwhile is no
    replica.)"""
    until = time.monotonic() + _PATIENCE
    while not await value(conn, _HAS, {"committed": committed}):
        if time.monotonic() > until:
            return False
        await asyncio.sleep(_LOOK_AGAIN)
    return True
