from dataclasses import dataclass

from activelog import db
from activelog.db import Conn

_SQL = db.queries("cleanup")


@dataclass(frozen=True)
class Page:
    last_id: int | None
    deleted: int


async def retire_jobs(
    conn: Conn, after: int, *, page: int, succeeded_days: int, failed_days: int
) -> Page:
    params = {
        "after": after,
        "page": page,
        "succeeded_days": succeeded_days,
        "failed_days": failed_days,
    }
    found = await db.one(conn, _SQL["retire_jobs"], params, Page)
    assert found is not None
    return found
