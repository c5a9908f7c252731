"""The named statements of sql/, and the ways to run one."""

import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from psycopg import AsyncCursor, capabilities
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from activelog.base import resources
from activelog.database.connections import Conn

Params = Mapping[str, Any]
Row = TypeVar("Row")

# The folders of sql/, as the packages of the same names stand on each other, the lowest first.
PARTS = (
    "queue", "schedules", "database", "http", "mail", "tickets", "accounts", "activities", "report",
    "imports", "exports", "statistics", "monthly_reports", "friends", "webhooks", "retention",
    "operations",
)  # fmt: skip

_NAME = re.compile(rb"^-- name: (\w+)$", re.MULTILINE)


@cache
def queries(part: str, file: str = "queries") -> dict[str, bytes]:
    """Reads sql/<part>/<file>.sql: `-- name: get_export`, a sentence, the statement."""
    text = resources.folder("sql").joinpath(part, f"{file}.sql").read_bytes()
    _, *pieces = _NAME.split(text)
    found: dict[str, bytes] = {}
    for name, statement in zip(pieces[::2], pieces[1::2], strict=True):
        if name.decode() in found:
            raise ValueError(f"{part}/{file}.sql has two statements named {name.decode()}")
        found[name.decode()] = statement.strip()
    return found


def parts_with(file: str) -> list[str]:
    """The parts that have such a file: what each declares about its own tables (retention,
    personal_data, objects, account_deletion, usage), for a shared task to do. The lowest first."""
    sql = resources.folder("sql")
    return [part for part in PARTS if sql.joinpath(part, f"{file}.sql").exists()]


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


async def execute(conn: Conn, statement: bytes, params: Params) -> int:
    """How many rows it touched."""
    return (await conn.execute(statement, params)).rowcount


async def batches(
    conn: Conn, statement: bytes, params: Params, size: int = 1000
) -> AsyncGenerator[list[tuple[Any, ...]], None]:
    """All rows of a statement in constant memory, `size` at a time. Closing it cancels the
    statement."""
    chunk = size if capabilities.has_stream_chunked() else 1  # else libpq hands over each alone
    batch: list[tuple[Any, ...]] = []
    async with conn.cursor() as cursor, aclosing(_stream(cursor, statement, params, chunk)) as rows:
        async for row in rows:
            batch.append(row)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def _stream(
    cursor: AsyncCursor[tuple[Any, ...]], statement: bytes, params: Params, size: int
) -> AsyncGenerator[tuple[Any, ...], None]:
    rows = cursor.stream(statement, params, size=size)
    return cast(AsyncGenerator[tuple[Any, ...], None], rows)  # as it is, and closing it counts


def records(rows: Sequence[Mapping[str, Any]]) -> Jsonb:
    """For jsonb_to_recordset: many rows as one parameter. An array for each column would be
    planned anew for each execution: with its length, the cost that Postgres expects changes."""
    return Jsonb(rows, dumps=msgspec.json.encode)


def array(values: Iterable[object]) -> str:
    """A parameter for `::type[]`, of numbers, words and None: the driver looks at each value three
    times."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"
