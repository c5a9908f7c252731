import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from procrastinate.exceptions import JobAborted

from activelog import db, outbox, tickets
from activelog.errors import Permanent
from activelog.exports import queries
from activelog.exports.csv_file import csv_chunks, gzipped
from activelog.exports.model import KEPT_DAYS, Export
from activelog.exports.pdf_file import write_pdf
from activelog.exports.zip_file import write_zip
from activelog.mail import make_message_id
from activelog.queue import Blueprint, Context
from activelog.services import of_job
from activelog.storage import Stored
from activelog.tickets import Work, working
from activelog.tickets.routes import download_url

READY = outbox.Kind(
    "export_ready", task="activelog.exports.announce", queue="default", list="export_ready"
)
FAILED = outbox.Kind("export_failed", task="activelog.exports.announce_failure", queue="default")

CONTENT_TYPES = {
    "csv": "text/csv",
    "csv.gz": "application/gzip",
    "pdf": "application/pdf",
    "zip": "application/zip",
}

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
            path = Path(folder, "export")
            written = await _write(work, export, path)
            if await work.is_over():  # its file is there, and not to be written over
                return
            await work.report(95, "Storing the file...")
            stored = await _store(work, export, path)
            if stored.size != written.size:
                raise OSError("the store holds another size than was sent")
        await _finish(work, export, written)


@blueprint.job(READY.task, queue=READY.queue, timeout=outbox.TIMEOUT, retry=outbox.PATIENT)
async def announce(context: Context, user_id: int, ticket_id: str) -> None:
    """Mails that an export can be downloaded. A second run finds the mail sent; an export that
    has expired or is gone is not announced any more."""
    services = of_job(context)
    async with services.pool.connection() as conn:
        ticket = await tickets.get(conn, UUID(ticket_id), user_id)
        export = await queries.get(conn, UUID(ticket_id))
    if ticket is None or export is None or ticket.status != "completed":
        await outbox.skip(context, READY, user_id, occasion=ticket_id)
        return
    await outbox.deliver(
        context,
        READY,
        user_id,
        occasion=ticket_id,
        url=download_url(services, ticket),
        format=export.format.upper(),
        records=(ticket.result or {})["record_count"],
        size=(ticket.result or {})["file_size"],
        expires_at=ticket.expires_at,
    )


@blueprint.job(FAILED.task, queue=FAILED.queue, timeout=outbox.TIMEOUT, retry=outbox.PATIENT)
async def announce_failure(context: Context, user_id: int, ticket_id: str) -> None:
    """Mails that an export failed for good. A second run finds the mail sent; one that was
    retried by hand and succeeded meanwhile is not told of."""
    async with of_job(context).pool.connection() as conn:
        ticket = await tickets.get(conn, UUID(ticket_id), user_id)
        export = await queries.get(conn, UUID(ticket_id))
    if ticket is None or export is None or ticket.status != "failed":
        await outbox.skip(context, FAILED, user_id, occasion=ticket_id)
        return
    reason = ticket.error or "an error on our side"
    await outbox.deliver(
        context, FAILED, user_id, occasion=ticket_id, format=export.format.upper(), reason=reason
    )


@dataclass(frozen=True)
class Written:
    records: int
    size: int
    sha256: str


async def _export(work: Work) -> Export:
    async with work.services.pool.connection() as conn:
        export = await queries.get(conn, work.ticket_id)
    if export is None:
        raise Permanent("the export was deleted")
    return export


async def _write(work: Work, export: Export, path: Path) -> Written:
    """The file, in constant memory. Each writer reads its rows in one snapshot, which ends before
    it draws or fetches anything."""
    records = await _WRITERS[export.format](work, export, path)
    with path.open("rb") as file:
        digest = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
    return Written(records, path.stat().st_size, digest.hexdigest())


async def _write_csv(work: Work, export: Export, path: Path) -> int:
    wanted = export.csv()
    selection = wanted.selection(export.user_id)
    async with db.snapshot(work.services.pool) as conn:
        total = await queries.count(conn, selection)
        chunks = _watched(work, csv_chunks(conn, selection, wanted), total)
        with path.open("wb") as file:
            async for chunk in gzipped(chunks) if wanted.gzip else chunks:
                file.write(chunk)
    return total


async def _watched(work: Work, chunks: AsyncIterator[bytes], total: int) -> AsyncIterator[bytes]:
    """Reports how far it is, by lines."""
    lines = 0
    async for chunk in chunks:
        yield chunk
        lines += chunk.count(b"\n")
        await work.report(90 * lines // max(total, lines, 1), "Processing activities...")


async def _write_pdf(work: Work, export: Export, path: Path) -> int:
    await work.report(10, "Drawing the report...")
    return await write_pdf(work.services, export.user_id, export.pdf(), path)


async def _write_zip(work: Work, export: Export, path: Path) -> int:
    return await write_zip(work, export.user_id, path)


_WRITERS = {"csv": _write_csv, "pdf": _write_pdf, "zip": _write_zip}


async def _store(work: Work, export: Export, path: Path) -> Stored:
    storage = work.services.storage
    try:
        return await storage.put(export.object_key, path, CONTENT_TYPES[export.suffix])
    except asyncio.CancelledError:
        await _remove_if_cancelled(work, export)
        raise


async def _finish(work: Work, export: Export, written: Written) -> None:
    result: dict[str, Any] = {
        "file_size": written.size,
        "record_count": written.records,
        "sha256": written.sha256,
    }
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
    if not completed and await _remove_if_cancelled(work, export):
        raise JobAborted


async def _remove_if_cancelled(work: Work, export: Export) -> bool:
    """Nobody will ask for the file of a cancelled export; for one that another run finished, or is
    about to, they will: a worker that was thought dead comes here, too."""
    cancelled = await work.is_cancelled()
    if cancelled:
        await work.services.storage.remove(export.object_key)
    return cancelled
