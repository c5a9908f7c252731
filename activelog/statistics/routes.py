from datetime import date, timedelta
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from activelog import database, http
from activelog.accounts import queries as accounts
from activelog.base.date_ranges import parse_days
from activelog.base.errors import AppError
from activelog.base.units import Habits
from activelog.database import Conn, rate_limits
from activelog.database.rate_limits import RateLimit
from activelog.http import Endpoint
from activelog.mail import make_message_id
from activelog.services import Services, of_request
from activelog.statistics import queries
from activelog.statistics.mails import WEEKLY
from activelog.statistics.model import (
    LONGEST,
    MONDAYS,
    Figures,
    Stats,
    StatsQuery,
    WeeklyAccepted,
    YearQuery,
    YearStats,
    add_up,
    first_of,
)
from activelog.statistics.year import read as read_year

DELAY = timedelta(minutes=5)
REQUESTS = RateLimit("weekly-summary", 5, 24 * 3600)
_USUAL_DAYS = {"daily": 30, "weekly": 7 * 12, "monthly": 365}


async def daily(request: Request, user_id: int, query: StatsQuery) -> Response:
    """Figures by day, of the last 30 days unless said; 366 days at most."""
    return await _stats(request, user_id, query, "daily")


async def weekly(request: Request, user_id: int, query: StatsQuery) -> Response:
    """Figures by week from Monday on, of the last 12 weeks unless said; two years at most."""
    return await _stats(request, user_id, query, "weekly")


async def monthly(request: Request, user_id: int, query: StatsQuery) -> Response:
    """Figures by month, of the last year unless said; ten years at most."""
    return await _stats(request, user_id, query, "monthly")


async def year(request: Request, user_id: int, query: YearQuery) -> Response:
    """A year at a glance: figures beside those of the year before, by type, month and day; records
    and totals of all time."""
    services = of_request(request)
    async with services.pool.connection() as conn:
        today = await accounts.local_day(conn, user_id, services.clock())
    with services.years(user_id):
        return http.json(await find_year(services, user_id, query.year or today.year, today))


async def find_year(services: Services, user_id: int, wanted: int, today: date) -> YearStats:
    """It reads all that the person ever logged, for records and totals."""
    async with database.snapshot(services.reader) as conn:
        return await read_year(conn, user_id, wanted, today)


async def request_weekly(request: Request, user_id: int) -> Response:
    """Mails the summary of the last seven days, today included, in five minutes; five times a day
    at most."""
    services = of_request(request)
    now = services.clock().replace(microsecond=0)
    ticket_id = uuid4()

    async def start(conn: Conn) -> Response:
        await rate_limits.take(conn, REQUESTS, str(user_id))
        until = await accounts.local_day(conn, user_id, now) + timedelta(days=1)
        await queries.request(
            conn,
            ticket_id,
            user_id,
            dedup_key=f"{until.isoformat()} {ticket_id}",
            message_id=make_message_id(services.settings.mail_from),
            at=now + DELAY,
            task=WEEKLY.task,
            queue=WEEKLY.queue,
        )
        body = WeeklyAccepted("weekly summary email queued", str(ticket_id), now + DELAY)
        retry_after = str(round(DELAY.total_seconds()))
        location = f"/api/v1/jobs/{ticket_id}"
        return http.json(body, 202, {"Location": location, "Retry-After": retry_after})

    return await http.once(request, user_id, None, start)


async def _stats(request: Request, user_id: int, query: StatsQuery, unit: str) -> Response:
    services = of_request(request)
    async with services.pool.connection() as conn:
        today = await accounts.local_day(conn, user_id, services.clock())
    days = wanted_days(query, unit, today)
    return http.json(Stats(await find_stats(services, user_id, days, unit)))


async def find_stats(
    services: Services, user_id: int, days: list[date], unit: str, habits: Habits = MONDAYS
) -> list[Figures]:
    async with services.reader.connection() as conn:
        return add_up(await queries.days(conn, user_id, days), unit, habits)


async def find_last_day(services: Services, user_id: int) -> date | None:
    async with services.reader.connection() as conn:
        return await queries.last_day(conn, user_id)


def wanted_days(query: StatsQuery, unit: str, today: date, habits: Habits = MONDAYS) -> list[date]:
    """From the first day of the week or month in which the range begins to its last day."""
    usual = today - timedelta(days=_USUAL_DAYS[unit] - 1)
    end = query.end_date or today.isoformat()
    start = query.start_date or min(usual.isoformat(), end[:10])
    dates = parse_days(start, end)
    first = first_of(dates.first, unit, habits)
    if (dates.until - first).days > LONGEST[unit]:
        raise AppError.invalid("start_date", f"{LONGEST[unit]} days at most can be asked for")
    return [first + timedelta(days=number) for number in range((dates.until - first).days)]


ENDPOINTS = [
    Endpoint("POST", "/api/v1/users/me/reports/weekly-summary", request_weekly,
             {202: WeeklyAccepted}, errors=(429,), idempotent=True),
    Endpoint("GET", "/api/v1/stats/daily", daily, {200: Stats}),
    Endpoint("GET", "/api/v1/stats/weekly", weekly, {200: Stats}),
    Endpoint("GET", "/api/v1/stats/monthly", monthly, {200: Stats}),
    Endpoint("GET", "/api/v1/stats/year", year, {200: YearStats}),
]  # fmt: skip
