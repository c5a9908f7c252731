"""Connections to Postgres, and transactions on them."""

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

Conn = AsyncConnection[tuple[Any, ...]]
Pool = AsyncConnectionPool[Conn]

# So that a connection whose other side vanished without a word is noticed.
CONNECTION: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def make_pool(url: str, *, max_size: int, application: str) -> Pool:
    """A closed pool; a request that finds no connection within 5 s gets PoolTimeout."""
    return AsyncConnectionPool(
        url,
        min_size=1,
        max_size=max_size,
        open=False,
        timeout=5,
        reconnect_timeout=30,
        connection_class=AsyncConnection[tuple[Any, ...]],
        kwargs={"application_name": application, "options": "-c timezone=UTC -c datestyle=ISO"},
        configure=_autocommit,
        check=_check,
    )


async def _autocommit(conn: Conn) -> None:
    await conn.set_autocommit(True)


async def _check(conn: Conn) -> None:
    # Nothing arrives unasked on an idle connection but the end of it (or a notice), so the
    # stock check's round trip is made only when there is something to read.
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(conn)


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Conn]:
    async with pool.connection() as conn, conn.transaction():
        yield conn


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Conn]:
    """Everything that is read in it is as of one moment."""
    async with transaction(pool) as conn:
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield conn


@asynccontextmanager
async def searching(pool: Pool, seconds: int) -> AsyncIterator[Conn]:
    """For statements whose cost depends on what is looked for: each is planned for its parameters,
    and raises QueryCanceled when it takes longer."""
    async with transaction(pool) as conn:
        await conn.execute(
            "SELECT set_config('plan_cache_mode', 'force_custom_plan', true),"
            " set_config('statement_timeout', %s, true)",
            [f"{seconds}s"],
        )
        yield conn
