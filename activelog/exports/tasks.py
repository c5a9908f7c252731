import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from procrastinate.exceptions import JobAborted

from activelog import database, schedules, tickets
from activelog.accounts import quotas
from activelog.base.errors import Permanent
from activelog.exports import queries
from activelog.exports.csv_file import csv_chunks, gzipped
from activelog.exports.mails import MAILS, PAUSE, READY
from activelog.exports.model import KEPT_DAYS, Export
from activelog.exports.pdf_file import write_pdf
from activelog.exports.zip_file import write_zip
from activelog.mail import add_mail_jobs
from activelog.queue import Blueprint, Context
from activelog.services import of_job
from activelog.storage import Stored
from activelog.tickets import TrackedJob, tracking

CONTENT_TYPES = {
    "csv": "text/csv",
    "csv.gz": "application/gzip",
    "pdf": "application/pdf",
    "zip": "application/zip",
}

PAGE = 1000

blueprint = Blueprint()
add_mail_jobs(blueprint, *MAILS)


@blueprint.job("activelog.exports.generate", queue="low", timeout=3600)
async def generate(context: Context, ticket_id: str) -> None:
    """Writes an export's file and completes its ticket. A second run overwrites the same object,
    and finds nothing to do once the ticket is complete."""
    async with tracking(of_job(context), ticket_id, "generate export") as job:
        if job is None:
            return
        export = await _export(job)
        async with job.services.pool.connection() as conn:  # those that waited may be too much
            await quotas.check_in_job(conn, job, "export_bytes")
        with tempfile.TemporaryDirectory(prefix="activelog-") as folder:
            path = Path(folder, "export")
            written = await _write(job, export, path)
            if await job.is_over():  # its file is there, and not to be written over
                return
            await job.report(95, "Storing the file...")
            stored = await _store(job, export, path)
            if stored.size != written.size:
                raise OSError("the store holds another size than was sent")
        await _finish(job, export, written)


@blueprint.periodic(cron="0 2 * * *")
@blueprint.job("activelog.exports.expire", queue="low", timeout=3600, lock="expired_exports")
async def expire(context: Context, timestamp: int | None = None, day: str | None = None) -> None:
    """Removes the files of expired exports. A second run finds those that are left: an object goes
    before its row says so. `day` changes nothing: what has expired by now goes."""
    services = of_job(context)
    async with schedules.recorded(context, timestamp) as counts:
        while True:
            async with services.pool.connection() as conn:
                keys = await queries.expired(conn, services.clock(), PAGE)
            if not keys:
                return
            await services.storage.remove_all(keys)
            async with services.pool.connection() as conn:
                await queries.mark_removed(conn, keys)
            counts["expired exports"] += len(keys)


@dataclass(frozen=True)
class Written:
    records: int
    size: int
    sha256: str


async def _export(job: TrackedJob) -> Export:
    async with job.services.pool.connection() as conn:
        export = await queries.get(conn, job.ticket_id)
    if export is None:
        raise Permanent("the export was deleted")
    return export


async def _write(job: TrackedJob, export: Export, path: Path) -> Written:
    """The file, in constant memory. Each writer reads its rows in one snapshot, which ends before
    it draws or fetches anything."""
    records = await _WRITERS[export.format](job, export, path)
    with path.open("rb") as file:
        digest = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
    return Written(records, path.stat().st_size, digest.hexdigest())


async def _write_csv(job: TrackedJob, export: Export, path: Path) -> int:
    wanted = export.csv()
    selection = wanted.selection(export.user_id)
    async with database.snapshot(job.services.reader) as conn:
        total = await queries.count(conn, selection)
        with path.open("wb") as file:
            async with aclosing(csv_chunks(conn, selection, wanted)) as chunks:
                watched = _watched(job, chunks, total)
                async for chunk in gzipped(watched) if wanted.gzip else watched:
                    file.write(chunk)
    return total


async def _watched(
    job: TrackedJob, chunks: AsyncIterator[bytes], total: int
) -> AsyncIterator[bytes]:
    """Reports how far it is, by lines."""
    lines = 0
    async for chunk in chunks:
        yield chunk
        lines += chunk.count(b"\n")
        await job.report(90 * lines // max(total, lines, 1), "Processing activities...")


async def _write_pdf(job: TrackedJob, export: Export, path: Path) -> int:
    await job.report(10, "Drawing the report...")
    return await write_pdf(job.services, export.user_id, export.pdf(), path)


async def _write_zip(job: TrackedJob, export: Export, path: Path) -> int:
    return await write_zip(job, export.user_id, path)


_WRITERS = {"csv": _write_csv, "pdf": _write_pdf, "zip": _write_zip}


async def _store(job: TrackedJob, export: Export, path: Path) -> Stored:
    storage = job.services.storage
    try:
        return await storage.put(export.object_key, path, CONTENT_TYPES[export.suffix])
    except asyncio.CancelledError:
        await _remove_if_cancelled(job, export)
        raise


async def _finish(job: TrackedJob, export: Export, written: Written) -> None:
    result: dict[str, Any] = {
        "file_size": written.size,
        "record_count": written.records,
        "sha256": written.sha256,
    }
    async with database.transaction(job.services.pool) as conn:
        completed = await tickets.complete(
            conn, job.ticket_id, message="Ready to download", result=result, days=KEPT_DAYS
        )
        if completed:
            await job.services.outbox.write_gathered(
                conn, READY, export.user_id, str(job.ticket_id), PAUSE
            )
    if not completed and await _remove_if_cancelled(job, export):
        raise JobAborted


async def _remove_if_cancelled(job: TrackedJob, export: Export) -> bool:
    """Nobody will ask for the file of a cancelled export; for one that another run finished, or is
    about to, they will: a worker that was thought dead comes here, too."""
    cancelled = await job.is_cancelled()
    if cancelled:
        await job.services.storage.remove(export.object_key)
    return cancelled
