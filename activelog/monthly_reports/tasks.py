import tempfile
from datetime import timedelta
from pathlib import Path

from activelog import database, report, schedules
from activelog.base.date_ranges import DateRange, Selection, month_of, parse_month
from activelog.base.errors import Permanent
from activelog.mail import add_mail_jobs
from activelog.monthly_reports import queries
from activelog.monthly_reports.mails import MAILS, READY
from activelog.monthly_reports.model import object_key
from activelog.queue import Blueprint, Context
from activelog.services import Services, of_job

RENDER, QUEUE = "activelog.reports.render", "low"
PAGE = 10_000  # users

blueprint = Blueprint()
add_mail_jobs(blueprint, *MAILS)


@blueprint.periodic(cron="0 0 1 * *")
@blueprint.job("activelog.reports.monthly", queue=QUEUE, timeout=3600, lock="monthly_reports")
async def monthly(context: Context, timestamp: int | None = None, day: str | None = None) -> None:
    """Has a report drawn of the month before its day, for everybody who was active in it. A second
    run queues a job again for each report that is not drawn yet: it is drawn twice and mailed once.
    A missed tick is made up however late."""
    services = of_job(context)
    today = schedules.day_of(timestamp, day, services.clock())
    dates = month_of(today.replace(day=1) - timedelta(days=1))
    async with schedules.recorded(context, timestamp) as counts:
        after: int | None = 0
        while after is not None:
            async with services.pool.connection() as conn:
                page = await queries.fan_out(
                    conn, after, dates, limit=PAGE, task=RENDER, queue=QUEUE
                )
            counts["reports queued"] += page.queued
            after = page.last_id


@blueprint.job(RENDER, queue=QUEUE, timeout=600)
async def render(context: Context, user_id: int, month: str) -> None:
    """Draws, stores and announces one user's report. A second run overwrites the same object and
    finds its mail written."""
    services = of_job(context)
    dates = parse_month(month[:7])
    key = object_key(user_id, dates.first)
    with tempfile.TemporaryDirectory(prefix="activelog-") as folder:
        path = Path(folder, "report.pdf")
        path.write_bytes(await _draw(services, user_id, dates))
        stored = await services.storage.put(key, path, "application/pdf")
    async with database.transaction(services.pool) as conn:
        if await queries.keep(conn, user_id, dates.first, key, stored.size):
            await services.outbox.write(conn, READY, user_id, f"{dates.first:%Y-%m}")


async def _draw(services: Services, user_id: int, dates: DateRange) -> bytes:
    selection = Selection(user_id, dates.times)
    async with database.snapshot(services.reader) as conn:
        found = await report.read(conn, selection, dates, services.clock().date())
        rows = await report.rows(conn, selection, dates)
    if not found.name:
        raise Permanent("the account is gone")
    document = report.make_document(
        found,
        rows,
        kind="Monthly report",
        charts=True,
        fonts=services.settings.font_files(),
    )
    return await report.draw(services, user_id, document)
