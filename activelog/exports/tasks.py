import asyncio
import tempfile
from pathlib import Path
from uuid import UUID

from activelog import db, outbox, tickets
from activelog.errors import Permanent
from activelog.exports import queries
from activelog.exports.csv_file import csv_chunks
from activelog.exports.model import KEPT_DAYS, Export
from activelog.mail import make_message_id
from activelog.period import parse_period
from activelog.queue import Blueprint, Context
from activelog.services import of_job
from activelog.storage import Stored
from activelog.tickets import Work, working
from activelog.tickets.routes import download_url

READY = outbox.Kind("export_ready", task="activelog.exports.announce", queue="default")

blueprint = Blueprint()


@blueprint.job("activelog.exports.generate", queue="low", timeout=3600)
async def generate(context: Context, ticket_id: str) -> None:
    """Writes an export's file and completes its ticket. A second run overwrites the same object,
    and finds nothing to do once the ticket is complete."""
    async with working(of_job(context), ticket_id, "generate export") as work:
        if work is None:
            return
        export = await _export(work)
        with tempfile.TemporaryDirectory(prefix="activelog-") as folder:
            path = Path(folder, "export.csv")
            records = await _write(work, export, path)
            await work.report(95, "Storing the file...")
            stored = await _store(work, export, path)
            if stored.size != path.stat().st_size:
                raise OSError("the store holds another size than was sent")
        await _finish(work, export, stored.size, records)


@blueprint.job(READY.task, queue=READY.queue, timeout=90, retry=outbox.PATIENT)
async def announce(context: Context, user_id: int, ticket_id: str) -> None:
    """Mails that an export can be downloaded. A second run finds the mail sent; an export that
    has expired or is gone is not announced any more."""
    services = of_job(context)
    async with services.pool.connection() as conn:
        ticket = await tickets.get(conn, UUID(ticket_id), user_id)
    if ticket is None or ticket.status != "completed":
        await outbox.skip(context, READY, user_id, occasion=ticket_id)
        return
    await outbox.deliver(
        context,
        READY,
        user_id,
        occasion=ticket_id,
        url=download_url(services, ticket),
        records=(ticket.result or {})["record_count"],
        size=(ticket.result or {})["file_size"],
        expires_at=ticket.expires_at,
    )


async def _export(work: Work) -> Export:
    async with work.services.pool.connection() as conn:
        export = await queries.get(conn, work.ticket_id)
    if export is None:
        raise Permanent("the export was deleted")
    return export


async def _write(work: Work, export: Export, path: Path) -> int:
    """The file, in constant memory, from one snapshot. Returns the number of records."""
    period = parse_period(export.filters.get("start_date"), export.filters.get("end_date"))
    async with (
        work.services.pool.connection() as conn,
        conn.transaction(),
    ):
        await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        total = await queries.count(conn, export.user_id, period)
        lines = 0
        with path.open("wb") as file:
            async for chunk in csv_chunks(
                conn, export.user_id, period, tags=bool(export.filters["include_tags"])
            ):
                file.write(chunk)
                lines += chunk.count(b"\n")
                await work.report(90 * lines // max(total, lines), "Processing activities...")
    return total


async def _store(work: Work, export: Export, path: Path) -> Stored:
    storage = work.services.storage
    try:
        return await storage.put(export.object_key, path, "text/csv")
    except asyncio.CancelledError:
        await storage.remove(export.object_key)
        raise


async def _finish(work: Work, export: Export, size: int, records: int) -> None:
    result = {"file_size": size, "record_count": records}
    async with db.transaction(work.services.pool) as conn:
        completed = await tickets.complete(
            conn, work.ticket_id, message="Ready to download", result=result, days=KEPT_DAYS
        )
        if completed:
            message_id = make_message_id(work.services.settings.mail_from)
            occasion = str(work.ticket_id)
            args = {"ticket_id": occasion}
            await outbox.write(
                conn, READY, export.user_id, message_id, occasion=occasion, args=args
            )
    if not completed:  # cancelled meanwhile: nobody will ever ask for the file
        await work.services.storage.remove(export.object_key)
