import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from activelog import db, outbox, pdf, recap, runs
from activelog.errors import Permanent
from activelog.mail import make_message_id
from activelog.outbox import PATIENT, TIMEOUT, Claim
from activelog.period import Selection, Span, month_span, parse_month
from activelog.queue import Blueprint, Context
from activelog.reports import queries
from activelog.reports.links import download_url
from activelog.reports.model import object_key
from activelog.services import Services, of_job

READY = outbox.Kind(
    "monthly_report", "activelog.reports.announce", "default", list="monthly_report"
)
RENDER, QUEUE = "activelog.reports.render", "low"
PAGE = 10_000  # users

blueprint = Blueprint()


@blueprint.periodic(cron="0 0 1 * *")
@blueprint.job("activelog.reports.monthly", queue=QUEUE, timeout=3600, lock="monthly_reports")
async def monthly(context: Context, timestamp: int | None = None, day: str | None = None) -> None:
    """Has a report drawn of the month before its day, for everybody who was active in it. A second
    run leaves out those that are there; `render` is harmless for the others. A missed tick is made
    up however late."""
    services = of_job(context)
    today = runs.day_of(timestamp, day, services.clock())
    span = month_span(today.replace(day=1) - timedelta(days=1))
    async with runs.recorded(context, timestamp) as counts:
        after: int | None = 0
        while after is not None:
            async with services.pool.connection() as conn:
                page = await queries.fan_out(
                    conn, after, span, limit=PAGE, task=RENDER, queue=QUEUE
                )
            counts["reports queued"] += page.queued
            after = page.last_id


@blueprint.job(RENDER, queue=QUEUE, timeout=600)
async def render(context: Context, user_id: int, month: str) -> None:
    """Draws, stores and announces one user's report. A second run overwrites the same object and
    finds its mail written."""
    services = of_job(context)
    span = parse_month(month[:7])
    key = object_key(user_id, span.first)
    with tempfile.TemporaryDirectory(prefix="activelog-") as folder:
        path = Path(folder, "report.pdf")
        path.write_bytes(await _draw(services, user_id, span))
        stored = await services.storage.put(key, path, "application/pdf")
    async with db.transaction(services.pool) as conn:
        if await queries.keep(conn, user_id, span.first, key, stored.size):
            message_id = make_message_id(services.settings.mail_from)
            occasion = f"{span.first:%Y-%m}"
            await outbox.write(
                conn, READY, user_id, message_id, occasion=occasion, args={"month": occasion}
            )


@blueprint.job(READY.task, queue=READY.queue, timeout=TIMEOUT, retry=PATIENT)
async def announce(context: Context, user_id: int, month: str) -> None:
    """Mails that a report is there. A second run finds the mail sent."""
    services = of_job(context)
    first = parse_month(month).first

    async def load(claim: Claim) -> Mapping[str, Any] | None:
        async with services.pool.connection() as conn:
            report = await queries.get(conn, user_id, first)
        if report is None:
            return None
        url = download_url(services, user_id, first)
        return {"month": f"{first:%B} {first.year}", "size": report.size, "url": url}

    await outbox.deliver(context, READY, user_id, occasion=month, load=load)


async def _draw(services: Services, user_id: int, span: Span) -> bytes:
    selection = Selection(user_id, span.period)
    async with db.snapshot(services.pool) as conn:
        found = await recap.read(conn, selection, span)
        rows = await recap.rows(conn, selection, span)
    if not found.name:
        raise Permanent("the account is gone")
    document = recap.make_document(
        found, rows, kind="Monthly report", charts=True, fonts=services.settings.font_files()
    )
    return await services.offload(pdf.render, document)
