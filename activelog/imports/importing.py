import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import tzinfo
from itertools import islice
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import msgspec
from psycopg import Rollback

from activelog import tickets
from activelog.accounts import queries as accounts
from activelog.accounts import quotas
from activelog.base.formatting import counted
from activelog.base.zones import clocks_of
from activelog.database import Conn
from activelog.imports import photos, queries
from activelog.imports.model import Choices, Found, Import, Refused
from activelog.imports.queries import Similar
from activelog.imports.source import Source, kind_of, open_source
from activelog.tickets import TrackedJob

KEPT_ERRORS = 1000
_BATCH = 1000
_SHOWN_LINES = 20
_MEND = "mend the row and import the file again: what is there already is skipped"
_LOOK = "look at the activity; change it, or delete it, if the file was wrong"


@dataclass
class Report:
    """What became of a file's rows; of errors, doubts and similar ones the first KEPT_ERRORS."""

    source: Source
    dry_run: bool
    zone: str  # of its person
    read: int = 0
    duplicates: int = 0
    rejected: int = 0
    doubtful: int = 0
    skipped: int = 0  # for being similar
    corrected: int = 0  # that came in before
    moved: int = 0  # that are there in another zone
    photos: int = 0
    problems: list[str] = field(default_factory=list)  # with photos
    repeated: list[int] = field(default_factory=list)  # lines
    errors: list[dict[str, Any]] = field(default_factory=list)
    doubts: list[dict[str, Any]] = field(default_factory=list)
    similar: list[Similar] = field(default_factory=list)

    @property
    def imported(self) -> int:
        """In a dry run: how many it would be."""
        return self.read - self.duplicates - self.skipped - self.corrected

    def refuse(self, refused: Refused) -> None:
        self.rejected += 1
        if len(self.errors) < KEPT_ERRORS:
            self.errors.append(_entry(refused.line, refused.reason, refused.says, _MEND))

    def take(self, found: Found) -> None:
        self.read += 1
        self.doubtful += bool(found.doubts)
        if found.doubts and len(self.doubts) < KEPT_ERRORS:
            values = found.values
            at = values.activity_date.astimezone(self._place(values.utc_offset))
            says = (f"{at:%Y-%m-%d %H:%M}, {values.activity_type},"
                    f" {values.duration_minutes} min, {values.distance_km:g} km")  # fmt: skip
            self.doubts.append(_entry(found.line, "; ".join(found.doubts), says, _LOOK))

    def _place(self, utc_offset: int | None) -> tzinfo:
        return ZoneInfo(self.zone) if utc_offset is None else clocks_of(utc_offset)

    def message(self) -> str:
        would_be = "would be " if self.dry_run else ""
        message = (
            f"{counted(self.imported, 'activities')} {would_be}imported,"
            f" {self.duplicates:,} there already, {counted(self.rejected, 'rows')} refused"
        )
        message += f", {self.corrected:,} {would_be}corrected" if self.corrected else ""
        return f"{message}, {self.doubtful:,} doubtful" if self.doubtful else message

    def _left_out(self) -> Iterator[str]:
        if self.moved:
            yield f"{counted(self.moved, 'rows')} there already, by the clocks of another time zone"
        if self.repeated:
            lines = ", ".join(map(str, self.repeated[:_SHOWN_LINES]))
            more = ", …" if len(self.repeated) > _SHOWN_LINES else ""
            yield f"rows that repeat one before them were left out: line {lines}{more}"

    def result(self) -> dict[str, Any]:
        return {
            "format": self.source.name,
            "dry_run": self.dry_run,
            "imported": self.imported,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "doubtful": self.doubtful,
            "skipped": self.skipped,
            "corrected": self.corrected,
            "errors": self.errors,
            "doubts": self.doubts,
            "similar": [msgspec.to_builtins(one) for one in self.similar],
            "units": self.source.units,
            "photos": self.photos,
            "remarks": [*self.source.remarks, *self._left_out(), *self.problems[:KEPT_ERRORS]],
        }


def _entry(line: int, reason: str, says: str, advice: str) -> dict[str, Any]:
    # Postgres keeps no NUL, and no half of a letter.
    shown = says.replace("\0", "").encode("utf-8", "replace").decode()
    return {"line": line, "reason": reason, "says": shown, "advice": advice}


async def import_file(job: TrackedJob, file: BinaryIO, size: int, wanted: Import) -> bool:
    """All good rows and the ticket's completion in one transaction. False when the ticket was
    finished or cancelled meanwhile: then nothing was imported."""
    choices = await _with_zone(job, msgspec.convert(wanted.choices, Choices))
    problems: list[str] = []
    prepared: list[photos.Prepared] = []
    if not wanted.dry_run and await asyncio.to_thread(kind_of, file) == "zip":
        prepared = await _prepare_photos(job, file, choices, problems)
    with ExitStack() as stack:
        opening = open_source(file, choices, job.services.clock())
        source = await asyncio.to_thread(stack.enter_context, opening)
        report = Report(source, wanted.dry_run, choices.zone or "UTC", problems=problems)
        rows = stack.enter_context(tempfile.TemporaryFile(prefix="activelog-"))
        await _read_rows(job, size, report, rows)
        completed = False
        async with job.services.pool.connection() as conn, conn.transaction() as transaction:
            await queries.make_incoming(conn)
            await queries.copy_in(conn, rows)
            await _drop_known(conn, job.user_id, report, choices)
            if not wanted.dry_run:
                await quotas.check_in_job(conn, job, "activities", report.imported)
                ids = await queries.number(conn, sorted({one.line for one in prepared}))
                await queries.take_in(conn, job.user_id)
                report.photos = await photos.take_in(conn, job.user_id, prepared, ids)
            completed = await tickets.complete(
                conn, job.ticket_id, message=report.message(), result=report.result(), days=None
            )
            if not completed:
                raise Rollback(transaction)
    return completed


async def _with_zone(job: TrackedJob, choices: Choices) -> Choices:
    if choices.zone:
        return choices
    async with job.services.pool.connection() as conn:
        return msgspec.structs.replace(choices, zone=await accounts.zone(conn, job.user_id))


async def _prepare_photos(
    job: TrackedJob, file: BinaryIO, choices: Choices, problems: list[str]
) -> list[photos.Prepared]:
    """Of an archive; the file is opened for this alone."""
    with ExitStack() as stack:
        opening = open_source(file, choices, job.services.clock())
        source = await asyncio.to_thread(stack.enter_context, opening)
        return await photos.prepare(job, source, problems) if source.archive else []


async def _drop_known(conn: Conn, user_id: int, report: Report, choices: Choices) -> None:
    is_own = report.source.name == "activelog"
    if not is_own and (choices.units or choices.type):
        report.corrected = await queries.correct(conn, user_id, choices, dry_run=report.dry_run)
    report.duplicates = await queries.drop_duplicates(conn, user_id)
    if is_own:  # rows that look the same are different activities
        return
    report.moved = await queries.drop_moved(conn, user_id)
    report.repeated = await queries.drop_repeated(conn)
    report.duplicates += len(report.repeated) + report.moved
    report.similar = await queries.find_similar(conn, user_id, KEPT_ERRORS)
    if choices.similar == "skip":
        report.skipped = await queries.drop_similar(conn)


async def _read_rows(job: TrackedJob, size: int, report: Report, rows: BinaryIO) -> None:
    """All good ones, before the transaction: no snapshot stays open for somebody's large file."""
    while await asyncio.to_thread(_read_batch, report, rows):
        done = min(100 * report.source.file.tell() // max(size, 1), 99)
        await job.report(done, f"Importing: {counted(report.read, 'activities')}")
    await asyncio.to_thread(rows.seek, 0)


def _read_batch(report: Report, rows: BinaryIO) -> bool:
    """False at the end."""
    batch, good = list(islice(report.source.rows, _BATCH)), []
    for row in batch:
        if isinstance(row, Refused):
            report.refuse(row)
        else:
            report.take(row)
            good.append(row)
    name = report.source.name
    rows.write(queries.as_copy_text(good, "" if name == "activelog" else name))
    return bool(batch)
