from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncServerCursor
from psycopg.types.json import Jsonb

from activelog import database
from activelog.base.date_ranges import Selection
from activelog.database import Conn
from activelog.exports.model import Export

_SQL = database.queries("exports")


async def request(conn: Conn, export: Export, opening: dict[str, Any]) -> bool:
    """False when too many wait already. `opening` is its ticket's."""
    params = opening | asdict(export) | {"filters": Jsonb(export.filters)}
    return await database.execute(conn, _SQL["request"], params) == 1


async def get(conn: Conn, export_id: UUID) -> Export | None:
    return await database.one(conn, _SQL["get"], {"id": export_id}, Export)


@dataclass(frozen=True)
class Ready:
    id: UUID
    format: str
    total: int  # of those that the mail tells of


async def take_ready(conn: Conn, user_id: int, mail_id: int) -> list[Ready]:
    params = {"user_id": user_id, "mail_id": mail_id}
    return await database.many(conn, _SQL["take_ready"], params, Ready)


@dataclass(frozen=True)
class Requested(Export):
    created_at: datetime


async def page(
    conn: Conn, user_id: int, before: tuple[datetime, UUID] | None, limit: int
) -> list[Requested]:
    at, before_id = before or (None, None)
    params = {"user_id": user_id, "before": at, "before_id": before_id, "limit": limit}
    return await database.many(conn, _SQL["page"], params, Requested)


async def delete(conn: Conn, export_id: UUID) -> None:
    await database.execute(conn, _SQL["delete"], {"id": export_id})


async def count(conn: Conn, selection: Selection) -> int:
    return int(await database.value(conn, _SQL["count"], selection.params()))


async def has_more_than(conn: Conn, selection: Selection, most: int) -> bool:
    params = selection.params() | {"most": most}
    return bool(await database.value(conn, _SQL["has_more_than"], params))


@dataclass(frozen=True)
class Known:
    type: bool
    tag: bool


async def known(conn: Conn, selection: Selection) -> Known:
    """Whether the user has any activity of that type, or with that tag."""
    found = await database.one(conn, _SQL["known"], selection.params(), Known)
    assert found is not None
    return found


def rows(
    conn: Conn, selection: Selection, *, with_more: bool = False
) -> AsyncGenerator[list[tuple[str | None, ...]], None]:
    """Batches of the CSV's columns as texts, newest first; `with_more`: and of MORE_COLUMNS."""
    statement = _SQL["rows_with_more" if with_more else "rows"]
    return database.batches(conn, statement, selection.params())


async def expired(conn: Conn, now: datetime, page: int) -> list[str]:
    """Keys of objects that are still there, though nobody may download them any more."""
    cursor = await conn.execute(_SQL["expired"], {"now": now, "page": page})
    return [key for (key,) in await cursor.fetchall()]


async def mark_removed(conn: Conn, keys: list[str]) -> None:
    await database.execute(conn, _SQL["mark_removed"], {"keys": keys})


def personal_data() -> dict[str, bytes]:
    """What each part declares of a person, beside activities, photos and reports themselves: a
    statement for each table of the ZIP, by its name."""
    found: dict[str, bytes] = {}
    for part in database.parts_with("personal_data"):
        found |= database.queries(part, "personal_data")
    return found


@asynccontextmanager
async def table(
    conn: Conn, statement: bytes, user_id: int
) -> AsyncIterator[tuple[list[str], AsyncServerCursor[tuple[Any, ...]]]]:
    """Its columns and its rows, in a transaction of the caller's."""
    async with conn.cursor("personal_data") as cursor:
        await cursor.execute(statement, {"user_id": user_id})
        yield [column.name for column in cursor.description or ()], cursor
