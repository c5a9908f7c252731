import asyncio
import math
from datetime import date, timedelta
from uuid import UUID

from activelog import database, schedules, tickets
from activelog.base.date_ranges import midnight
from activelog.mail import PATIENT, TIMEOUT, domain_of
from activelog.queue import Blueprint, Context
from activelog.services import Services, of_job
from activelog.statistics import queries
from activelog.statistics.mails import ASKED_FOR, WEEKLY

PAGE = 100_000  # activities of a day in one statement
PAGES_AT_ONCE = 3
STALE_PAGE = 5_000
FAN_OUT_PAGE = 10_000  # users
_LOCAL_HOUR = 9  # of the person's Sunday, when that is wanted
TOO_LATE = timedelta(hours=24)

blueprint = Blueprint()


@blueprint.periodic(cron="0 0 * * *")
@blueprint.job("activelog.summaries.daily_stats", queue="default", timeout=3600, lock="daily_stats")
async def daily_stats(
    context: Context, timestamp: int | None = None, day: str | None = None
) -> None:
    """Computes the day before its tick for everybody, and all days that were missed or changed
    since. By hand, `day` computes that day again. A second run writes the same figures."""
    services = of_job(context)
    today = schedules.day_of(timestamp, None, services.clock())
    async with schedules.recorded(context, timestamp) as counts:
        if day is not None:
            counts["users"] += await compute_day(
                services, schedules.day_of(None, day, services.clock())
            )
            return
        for missing in await _missing_days(services, today):
            counts["users"] += await compute_day(services, missing)
            counts["days"] += 1
            async with services.pool.connection() as conn:
                await queries.set_progress(conn, missing + timedelta(days=1))
        counts["changed days"] += await compute_stale(services, today)


@blueprint.periodic(cron="0 9 * * 0")
@blueprint.job("activelog.summaries.weekly", queue="default", timeout=4 * 3600, lock="weekly")
async def weekly(context: Context, timestamp: int | None = None, day: str | None = None) -> None:
    """Writes the weekly mails of users who were active lately, for the seven days before its day. A
    second run finds the mails written. A tick that is over a day late is skipped: the next week is
    closer than the last one."""
    services = of_job(context)
    now, until = services.clock(), schedules.day_of(timestamp, day, services.clock())
    async with schedules.recorded(context, timestamp) as counts:
        if timestamp and now.timestamp() - timestamp > TOO_LATE.total_seconds():
            counts.skipped = True
            return
        counts["mails queued"] += await fan_out(services, until)


@blueprint.job(WEEKLY.task, queue=WEEKLY.queue, timeout=TIMEOUT, retry=PATIENT)
async def weekly_mail(
    context: Context, user_id: int, dedup_key: str = "", ticket_id: str | None = None
) -> None:
    """Mails somebody's week: the seven days before the date with which the key begins. A second
    run finds the mail sent."""
    services = of_job(context)
    dedup_key = dedup_key or services.clock().date().isoformat()
    if ticket_id is None:
        await services.outbox.deliver(context, WEEKLY, user_id, dedup_key)
        return
    sent = await services.outbox.deliver(context, ASKED_FOR, user_id, dedup_key)
    said = "Sent" if sent else "Sent before, or the address does not take mails"
    async with services.pool.connection() as conn:
        await tickets.complete(conn, UUID(ticket_id), message=said, result={}, days=None)


async def compute_day(services: Services, day: date) -> int:
    """Users with an activity on that day. A few pages at a time: one session of Postgres uses one
    core to write."""
    room = asyncio.Semaphore(PAGES_AT_ONCE)

    async def compute(after: int, until: int | None) -> int:
        async with room, database.transaction(services.pool) as conn:
            return await queries.compute_page(conn, day, after, until)

    async with asyncio.TaskGroup() as group:
        pages, after = [], 0
        while True:
            async with services.pool.connection() as conn:
                end = await queries.page_end(conn, day, after, PAGE)
            pages.append(group.create_task(compute(after, end)))
            if end is None:
                break
            after = end
    return sum(page.result() for page in pages)


async def compute_stale(services: Services, today: date) -> int:
    total = 0
    while True:
        async with database.transaction(services.pool) as conn:
            computed = await queries.compute_stale(conn, today, STALE_PAGE)
        total += computed
        if computed < STALE_PAGE:
            return total


async def fan_out(services: Services, until: date) -> int:
    settings = services.settings
    queued, after = 0, 0
    while True:
        async with services.pool.connection() as conn:
            page = await queries.fan_out(
                conn,
                after,
                limit=FAN_OUT_PAGE,
                until=until,
                hour=_LOCAL_HOUR if settings.weekly_local else 0,
                active_since=midnight(until - timedelta(days=settings.weekly_active_days)),
                spread=timedelta(minutes=settings.weekly_spread_minutes),
                queued=queued,
                per_second=settings.mails_per_second or math.inf,
                domain=domain_of(settings.mail_from),
                task=WEEKLY.task,
                queue=WEEKLY.queue,
            )
        queued += page.queued
        if page.last_id is None:
            return queued
        after = page.last_id


async def _missing_days(services: Services, today: date) -> list[date]:
    """Those before today that were not computed yet; at the first run since the first activity."""
    async with services.pool.connection() as conn:
        first = await queries.computed_until(conn) or await queries.first_day(conn) or today
    return [first + timedelta(days=number) for number in range((today - first).days)]
