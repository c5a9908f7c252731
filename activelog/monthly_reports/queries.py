from dataclasses import dataclass
from datetime import date, datetime

from activelog import database
from activelog.base.date_ranges import DateRange
from activelog.database import Conn

_SQL = database.queries("monthly_reports")


@dataclass(frozen=True)
class Page:
    last_id: int | None
    queued: int


@dataclass(frozen=True)
class Kept:
    month: date
    size: int
    created_at: datetime


async def fan_out(
    conn: Conn, after: int, dates: DateRange, *, limit: int, task: str, queue: str
) -> Page:
    params = {
        "after": after,
        "first": dates.first,
        "until": dates.until,
        "limit": limit,
        "task": task,
        "queue": queue,
    }
    found = await database.one(conn, _SQL["fan_out"], params, Page)
    assert found is not None
    return found


async def keep(conn: Conn, user_id: int, month: date, object_key: str, size: int) -> bool:
    """False when the account is gone."""
    params = {"user_id": user_id, "month": month, "object_key": object_key, "size": size}
    return await database.execute(conn, _SQL["keep"], params) == 1


async def get(conn: Conn, user_id: int, month: date) -> Kept | None:
    return await database.one(conn, _SQL["get"], {"user_id": user_id, "month": month}, Kept)


async def page(conn: Conn, user_id: int) -> list[Kept]:
    return await database.many(conn, _SQL["page"], {"user_id": user_id}, Kept)
