"""Connections to Postgres, and transactions on them."""

import select
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from psycopg_pool import AsyncConnectionPool

from activelog.base.settings import Settings
from activelog.database.connections import Conn, PooledConnection

Pool = AsyncConnectionPool[Conn]

_IDLE_SECONDS = 30.0  # then a connection that nobody needs is closed

_CONNECTIONS = 20  # unless a setting says so


def make_pool(
    url: str,
    *,
    max_size: int | None,
    application: str,
    is_pooled: bool = False,
    timeout: float = 5,
    connections: type[Conn] = PooledConnection,
) -> Pool:
    """A closed pool of `max_size` connections (None: 20); whoever finds none within `timeout`
    seconds gets PoolTimeout. `is_pooled`: behind a pooler that may give each statement another
    session."""
    options: dict[str, Any] = {"application_name": application}
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


def command_pool(settings: Settings, application: str, *, max_size: int = 2) -> Pool:
    """Of a command that looks or does something once."""
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


class Connections(Protocol):
    """A pool, or a Reader."""

    def connection(self) -> AbstractAsyncContextManager[Conn]: ...


@asynccontextmanager
async def transaction(pool: Connections) -> AsyncIterator[Conn]:
    async with pool.connection() as conn, conn.transaction():
        yield conn


@asynccontextmanager
async def snapshot(pool: Connections) -> AsyncIterator[Conn]:
    """Everything that is read in it is as of one moment. Who stops in the middle of reading (a full
    disk) need not close what reads: its lock would keep the end of the transaction for ever."""
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
