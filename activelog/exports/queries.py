from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from activelog import db
from activelog.db import Conn
from activelog.exports.model import Export
from activelog.period import Selection

_SQL = db.queries("exports")
_EVERYTHING = db.queries("everything")


async def request(conn: Conn, export: Export, opening: dict[str, Any]) -> bool:
    """False when too many wait already. `opening` is its ticket's."""
    params = opening | asdict(export) | {"filters": Jsonb(export.filters)}
    return await db.execute(conn, _SQL["request"], params) == 1


async def get(conn: Conn, export_id: UUID) -> Export | None:
    return await db.one(conn, _SQL["get"], {"id": export_id}, Export)


@dataclass(frozen=True)
class Requested(Export):
    created_at: datetime


async def page(
    conn: Conn, user_id: int, before: tuple[datetime, UUID] | None, limit: int
) -> list[Requested]:
    at, before_id = before or (None, None)
    params = {"user_id": user_id, "before": at, "before_id": before_id, "limit": limit}
    return await db.many(conn, _SQL["page"], params, Requested)


async def delete(conn: Conn, export_id: UUID) -> None:
    await db.execute(conn, _SQL["delete"], {"id": export_id})


async def count(conn: Conn, selection: Selection) -> int:
    return int(await db.value(conn, _SQL["count"], selection.params()))


async def has_more_than(conn: Conn, selection: Selection, most: int) -> bool:
    params = selection.params() | {"most": most}
    return bool(await db.value(conn, _SQL["has_more_than"], params))


async def types(conn: Conn, user_id: int) -> list[str]:
    """The types of a user's latest activities, the most frequent first."""
    cursor = await conn.execute(_SQL["types"], {"user_id": user_id})
    return [name for (name,) in await cursor.fetchall()]


@dataclass(frozen=True)
class Known:
    type: bool
    tag: bool


async def known(conn: Conn, selection: Selection) -> Known:
    """Whether the user has any activity of that type, or with that tag."""
    found = await db.one(conn, _SQL["known"], selection.params(), Known)
    assert found is not None
    return found


def copy_csv(
    conn: Conn, selection: Selection, *, tags: bool, raw: bool, size: int
) -> AsyncGenerator[bytes, None]:
    """Chunks of some `size` bytes, whole rows each."""
    statement = _SQL["copy_csv" if tags else "copy_csv_without_tags"]
    return db.copy_out(conn, statement, selection.params() | {"raw": raw}, size)


# What an export of everything holds beside activities, photos and reports.
TABLES = tuple(_EVERYTHING)


def copy_table(conn: Conn, name: str, user_id: int, size: int) -> AsyncGenerator[bytes, None]:
    """Rows as CSV."""
    return db.copy_out(conn, _EVERYTHING[name], {"user_id": user_id}, size)
