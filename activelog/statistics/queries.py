from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from psycopg.rows import args_row
from psycopg.types.json import Jsonb

from activelog import database
from activelog.base import logs
from activelog.base.date_ranges import range_before
from activelog.database import Conn
from activelog.statistics.model import AllTime, Day, Record, Shared, Streak
from activelog.statistics.week import TypeOfDay, WeekOf, WeekRecord

_SQL = database.queries("statistics")
_LAST_USER = 2**63 - 1

Row = TypeVar("Row")


async def page_end(conn: Conn, day: date, after: int, page: int) -> int | None:
    """The user with whom a page of a day's activities ends; None for the last page."""
    params = {"day": day, "after": after, "page": page}
    end: int | None = await database.value(conn, _SQL["page_end"], params)
    return end


async def compute_page(conn: Conn, day: date, after: int, until: int | None) -> int:
    """Users of a page, in one transaction of the caller's."""
    params = {"day": day, "after": after, "until": _LAST_USER if until is None else until}
    await database.execute(conn, _SQL["forget"], params)
    return await database.execute(conn, _SQL["compute"], params)


async def set_progress(conn: Conn, until: date) -> None:
    await database.execute(conn, _SQL["set_progress"], {"until": until})


async def computed_until(conn: Conn) -> date | None:
    found: date | None = await database.value(conn, _SQL["computed_until"], {})
    return found


async def first_day(conn: Conn) -> date | None:
    """Of all activities."""
    found: date | None = await database.value(conn, _SQL["first_day"], {})
    return found


async def compute_stale(conn: Conn, before: date, limit: int) -> int:
    """A page of marked days, in one transaction of the caller's."""
    params = {"before": before, "limit": limit}
    stale = await (await conn.execute(_SQL["take_stale"], params)).fetchall()
    if stale:
        user_ids, days = zip(*stale, strict=True)
        params = {"user_ids": list(user_ids), "days": list(days)}
        await database.execute(conn, _SQL["compute_again"], params)
    return len(stale)


async def days(conn: Conn, user_id: int, wanted: list[date]) -> list[Day]:
    return await database.many(conn, _SQL["days"], {"user_id": user_id, "days": wanted}, Day)


async def weeks(conn: Conn, asked: Sequence[WeekOf]) -> list[list[TypeOfDay]]:
    """Of each week and the week before it, in the order of `asked`."""
    spans = [(week.user_id, range_before(week.dates).first, week.dates.until) for week in asked]
    return await _of_each(conn, _SQL["weeks"], spans, TypeOfDay)


async def week_records(conn: Conn, asked: Sequence[WeekOf]) -> list[list[WeekRecord]]:
    """Of each week, in the order of `asked`; the farthest first."""
    spans = [(week.user_id, week.dates.first, week.dates.until) for week in asked]
    return await _of_each(conn, _SQL["week_records"], spans, WeekRecord)


async def _of_each(
    conn: Conn, statement: bytes, spans: Sequence[tuple[int, date, date]], row: Callable[..., Row]
) -> list[list[Row]]:
    """What a statement finds of many people, each in a time of their own (until: exclusive)."""
    asked = [
        {"place": place, "user_id": user_id, "first": first, "until": until}
        for place, (user_id, first, until) in enumerate(spans)
    ]
    found: list[list[Row]] = [[] for _ in spans]
    async with conn.cursor(
        row_factory=args_row(lambda place, *rest: (place, row(*rest)))
    ) as cursor:
        await cursor.execute(statement, {"asked": database.records(asked)})
        async for place, one in cursor:
            found[place].append(one)
    return found


@dataclass(frozen=True)
class Page:
    last_id: int | None
    queued: int


async def fan_out(
    conn: Conn,
    after: int,
    *,
    limit: int,
    until: date,
    hour: int,
    active_since: datetime,
    spread: timedelta,
    queued: int,
    per_second: float,
    domain: str,
    task: str,
    queue: str,
) -> Page:
    params = {
        "after": after,
        "limit": limit,
        "dedup_key": until.isoformat(),
        "until": until,
        "hour": hour,
        "active_since": active_since,
        "spread": spread,
        "queued": queued,
        "per_second": per_second,
        "domain": domain,
        "task": task,
        "queue": queue,
    }
    found = await database.one(conn, _SQL["fan_out"], params, Page)
    assert found is not None
    return found


async def request(
    conn: Conn,
    ticket_id: UUID,
    user_id: int,
    *,
    dedup_key: str,
    message_id: str,
    at: datetime,
    task: str,
    queue: str,
) -> None:
    args = {"user_id": user_id, "dedup_key": dedup_key, "ticket_id": str(ticket_id)}
    params: dict[str, Any] = {
        "id": ticket_id,
        "user_id": user_id,
        "dedup_key": dedup_key,
        "message_id": message_id,
        "at": at,
        "task": task,
        "queue": queue,
        "args": Jsonb(args | logs.origin()),
    }
    await database.execute(conn, _SQL["request"], params)


async def last_day(conn: Conn, user_id: int) -> date | None:
    """Of a person's activities."""
    found: date | None = await database.value(conn, _SQL["last_day"], {"user_id": user_id})
    return found


async def all_time(conn: Conn, user_id: int) -> AllTime:
    found = await database.one(conn, _SQL["all_time"], {"user_id": user_id}, AllTime)
    assert found is not None
    return found


async def records(conn: Conn, user_id: int) -> list[Record]:
    return await database.many(conn, _SQL["records"], {"user_id": user_id}, Record)


async def streaks(conn: Conn, user_id: int, today: date) -> list[Streak]:
    params = {"user_id": user_id, "today": today}
    return await database.many(conn, _SQL["streaks"], params, Streak)


async def share(conn: Conn, user_id: int, year: int, token: str) -> None:
    params = {"user_id": user_id, "year": year, "token": token}
    await database.execute(conn, _SQL["share"], params)


async def share_token(conn: Conn, user_id: int, year: int) -> str | None:
    params = {"user_id": user_id, "year": year}
    found: str | None = await database.value(conn, _SQL["share_token"], params)
    return found


async def unshare(conn: Conn, user_id: int, year: int) -> None:
    await database.execute(conn, _SQL["unshare"], {"user_id": user_id, "year": year})


async def shared(conn: Conn, token: str) -> Shared | None:
    return await database.one(conn, _SQL["shared"], {"token": token}, Shared)
