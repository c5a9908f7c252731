from dataclasses import dataclass
from datetime import date, datetime

from activelog import db
from activelog.db import Conn
from activelog.period import Span

_SQL = db.queries("reports")


@dataclass(frozen=True)
class Page:
    last_id: int | None
    queued: int


@dataclass(frozen=True)
class Kept:
    month: date
    size: int
    created_at: datetime


async def fan_out(conn: Conn, after: int, span: Span, *, limit: int, task: str, queue: str) -> Page:
    params = span.period.params() | {
        "after": after,
        "month": span.first,
        "limit": limit,
        "task": task,
        "queue": queue,
    }
    found = await db.one(conn, _SQL["fan_out"], params, Page)
    assert found is not None
    return found


async def keep(conn: Conn, user_id: int, month: date, object_key: str, size: int) -> bool:
    """False when the account is gone."""
    params = {"user_id": user_id, "month": month, "object_key": object_key, "size": size}
    return await db.execute(conn, _SQL["keep"], params) == 1


async def get(conn: Conn, user_id: int, month: date) -> Kept | None:
    return await db.one(conn, _SQL["get"], {"user_id": user_id, "month": month}, Kept)


async def page(conn: Conn, user_id: int) -> list[Kept]:
    return await db.many(conn, _SQL["page"], {"user_id": user_id}, Kept)
