"""Postgres: the pool, four ways to run a statement, and the named statements of sql/queries.

Connections are in autocommit mode, so a lone statement is one round trip; whoever needs more
than one opens `transaction(pool)`. Query functions take the connection of their caller.
"""

import re
import select
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar

import msgspec
from psycopg import AsyncClientCursor, AsyncConnection, OperationalError, pq
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.generators import fetch, fetch_many
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from psycopg.waiting import Wait
from psycopg_pool import AsyncConnectionPool

from activelog import resources

Conn = AsyncConnection[tuple[Any, ...]]
Pool = AsyncConnectionPool[Conn]
Params = Mapping[str, Any]
Row = TypeVar("Row")

# So that a connection whose other side vanished without a word is noticed.
CONNECTION: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

_NAME = re.compile(rb"^-- name: (\w+)$", re.MULTILINE)


class Queries(dict[str, bytes]):
    """The statements of one file by name."""


@cache
def queries(feature: str) -> Queries:
    """Reads sql/queries/<feature>.sql: `-- name: get_export`, a sentence, the statement."""
    text = resources.folder("sql").joinpath("queries", f"{feature}.sql").read_bytes()
    _, *parts = _NAME.split(text)
    found = Queries()
    for name, statement in zip(parts[::2], parts[1::2], strict=True):
        if name.decode() in found:
            raise ValueError(f"{feature}.sql has two statements named {name.decode()}")
        found[name.decode()] = statement.strip()
    return found


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


async def one(conn: Conn, statement: bytes, params: Params, row: type[Row]) -> Row | None:
    async with conn.cursor(row_factory=class_row(row)) as cursor:
        await cursor.execute(statement, params)
        return await cursor.fetchone()


async def many(conn: Conn, statement: bytes, params: Params, row: type[Row]) -> list[Row]:
    async with conn.cursor(row_factory=class_row(row)) as cursor:
        await cursor.execute(statement, params)
        return await cursor.fetchall()


async def value(conn: Conn, statement: bytes, params: Params) -> Any:
    """The first column of the first row, or None."""
    cursor = await conn.execute(statement, params)
    found = await cursor.fetchone()
    return found[0] if found else None


def records(rows: Sequence[Mapping[str, Any]]) -> Jsonb:
    """For jsonb_to_recordset: many rows as one parameter. An array for each column would be
    planned anew for each execution: with its length, the cost that Postgres expects changes."""
    return Jsonb(rows, dumps=msgspec.json.encode)


def array(values: Iterable[object]) -> str:
    """A parameter for `::type[]`, of numbers, words and None: the driver looks at each value three
    times."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


async def copy_out(
    conn: Conn, statement: bytes, params: Params, size: int
) -> AsyncGenerator[bytes, None]:
    """Chunks of whole rows of a COPY … TO STDOUT, some `size` bytes each.

    The driver's own way makes a coroutine's turn of every row, which takes longer than Postgres
    does. Whoever stops in the middle closes the connection: what was asked for is still coming.
    """
    text = AsyncClientCursor(conn).mogrify(statement.decode(), params)
    finished = False
    try:
        await conn.wait(_begin_copy(conn.pgconn, text.encode()))
        while not finished:
            chunk, finished = await conn.wait(_read_copy(conn.pgconn, size))
            yield chunk
        await conn.wait(fetch_many(conn.pgconn))
    finally:
        if not finished:
            await conn.close()


def _begin_copy(pgconn: pq.abc.PGconn, statement: bytes) -> PQGen[None]:
    pgconn.send_query(statement)
    result = yield from fetch(pgconn)
    if result is None or result.status != pq.ExecStatus.COPY_OUT:
        raise error_from_result(result) if result else OperationalError("no answer to COPY")


def _read_copy(pgconn: pq.abc.PGconn, size: int) -> PQGen[tuple[bytes, bool]]:
    """The next chunk, and whether it is the last."""
    rows = bytearray()
    while len(rows) < size:
        length, row = pgconn.get_copy_data(1)
        if length > 0:
            rows += row
        elif length < 0:
            return bytes(rows), True
        else:
            yield Wait.R
            pgconn.consume_input()
    return bytes(rows), False


async def execute(conn: Conn, statement: bytes, params: Params) -> int:
    """How many rows it touched."""
    return (await conn.execute(statement, params)).rowcount
