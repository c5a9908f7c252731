"""Connections to Postgres, and transactions on them."""

import asyncio
import logging
import select
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool

from activelog.base.settings import Settings
from activelog.database.connections import LOCK_SECONDS, Conn, PooledConnection, connect

Pool = AsyncConnectionPool[Conn]
T = TypeVar("T")

_IDLE_SECONDS = 30.0  # then a connection that nobody needs is closed

_CONNECTIONS = 20  # unless a setting says so
_WRITING_SECONDS = 300.0
_WRITING_PAUSE, _LONGEST_WRITING_PAUSE = 0.25, 5.0

logger = logging.getLogger(__name__)


def make_pool(
    url: str,
    *,
    max_size: int | None,
    application: str,
    is_pooled: bool = False,
    timeout: float = 5,
    lock_seconds: float = LOCK_SECONDS,
    connections: type[Conn] = PooledConnection,
) -> Pool:
    """A closed pool of `max_size` connections (None: 20); whoever finds none within `timeout`
    seconds gets PoolTimeout. `is_pooled`: behind a pooler that may give each statement another
    session. `lock_seconds`: for how long a statement waits for a lock."""
    options: dict[str, Any] = {"application_name": application, "lock_seconds": lock_seconds}
    if is_pooled:
        options["prepare_threshold"] = None
    return AsyncConnectionPool(
        url,
        min_size=1,
        max_size=max_size or _CONNECTIONS,
        open=False,
        timeout=timeout,
        max_idle=_IDLE_SECONDS,
        reconnect_timeout=30,
        connection_class=connections,
        kwargs=options,
        check=_check,
    )


@asynccontextmanager
async def command_pool(
    settings: Settings, application: str, *, max_size: int = 2
) -> AsyncIterator[Pool]:
    """Of a command that looks or does something once. Raises OperationalError with the cause when
    Postgres cannot be reached, where a pool would only say that it waited."""
    conn = await connect(settings.database_url, application)
    await conn.close()
    async with small_pool(settings, application, max_size=max_size) as pool:
        yield pool


def small_pool(settings: Settings, application: str, *, max_size: int = 2) -> Pool:
    return make_pool(
        settings.database_url,
        max_size=max_size,
        application=application,
        is_pooled=settings.is_pooled,
    )


async def _check(conn: Conn) -> None:
    # Nothing arrives unasked on an idle connection but the end of it (or a notice), so the
    # stock check's round trip is made only when there is something to read.
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(conn)


async def until_written(write: Callable[[], Awaitable[T]]) -> T:
    """For what has happened outside and would happen again if nobody wrote it down: a relay took a
    mail. `write` is called until Postgres does it, for five minutes; who is cancelled meanwhile
    waits for it all the same. Raises what it failed with at last."""
    writing = asyncio.ensure_future(_try_to_write(write))
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait([writing])
        raise


async def _try_to_write(write: Callable[[], Awaitable[T]]) -> T:
    began, pause = time.monotonic(), _WRITING_PAUSE
    while True:
        try:
            return await write()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if time.monotonic() - began > _WRITING_SECONDS:
                raise
            logger.warning("Postgres does not take what has happened: %s", str(error).strip())
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_WRITING_PAUSE)


class Connections(Protocol):
    """A pool, or a Reader."""

    def connection(self) -> AbstractAsyncContextManager[Conn]: ...


@asynccontextmanager
async def transaction(pool: Connections) -> AsyncIterator[Conn]:
    async with pool.connection() as conn, conn.transaction():
        yield conn


@asynccontextmanager
async def snapshot(pool: Connections) -> AsyncIterator[Conn]:
    """Everything that is read in it is as of one moment. A caller that stops reading early (a full
    disk) need not close its cursor, whose lock would keep the end of the transaction for ever."""
    async with transaction(pool) as conn:
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield conn
        finally:
            if conn.lock.locked():
                await conn.close()


@asynccontextmanager
async def searching(pool: Connections, seconds: int) -> AsyncIterator[Conn]:
    """For statements whose cost depends on what is looked for: each is planned for its parameters,
    and raises QueryCanceled when it takes longer."""
    async with transaction(pool) as conn:
        await conn.execute(
            "SELECT set_config('plan_cache_mode', 'force_custom_plan', true),"
            " set_config('statement_timeout', %s, true)",
            [f"{seconds}s"],
        )
        yield conn
