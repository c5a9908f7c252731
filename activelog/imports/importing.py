import asyncio
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from itertools import islice
from typing import Any, BinaryIO

from psycopg import Rollback

from activelog import database, tickets
from activelog.activities.model import Values
from activelog.imports import queries
from activelog.imports.csv_rows import Refused, detect_format, read_rows, unpacked
from activelog.tickets import TrackedJob

KEPT_ERRORS = 1000
_BATCH = 1000


@dataclass
class Report:
    format: str
    dry_run: bool
    read: int = 0
    duplicates: int = 0
    rejected: int = 0
    errors: list[Refused] = field(default_factory=list)

    @property
    def imported(self) -> int:
        """In a dry run: how many it would be."""
        return self.read - self.duplicates

    def refuse(self, refused: Refused) -> None:
        self.rejected += 1
        if len(self.errors) < KEPT_ERRORS:
            self.errors.append(refused)

    def message(self) -> str:
        would_be = "would be " if self.dry_run else ""
        return (
            f"{self.imported:,} activities {would_be}imported, {self.duplicates:,} there already,"
            f" {self.rejected:,} rows refused"
        )

    def result(self) -> dict[str, Any]:
        errors = [{"line": error.line, "reason": error.reason} for error in self.errors]
        return {
            "format": self.format,
            "dry_run": self.dry_run,
            "imported": self.imported,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "errors": errors,
        }


async def import_file(job: TrackedJob, file: BinaryIO, size: int, *, dry_run: bool) -> bool:
    """All good rows and the ticket's completion in one transaction. False when the ticket was
    finished or cancelled meanwhile: then nothing was imported."""
    file = unpacked(file)
    report = Report(await asyncio.to_thread(detect_format, file), dry_run)
    completed = False
    async with job.services.pool.connection() as conn, conn.transaction() as transaction:
        await queries.make_incoming(conn)
        await _copy_rows(conn, job, file, size, report)
        report.duplicates = await queries.drop_duplicates(conn, job.user_id)
        if report.format != "activelog":  # where rows that look the same are different activities
            report.duplicates += await queries.drop_repeated(conn)
        if not dry_run:
            await queries.take_in(conn, job.user_id)
        completed = await tickets.complete(
            conn, job.ticket_id, message=report.message(), result=report.result(), days=None
        )
        if not completed:
            raise Rollback(transaction)
    return completed


async def _copy_rows(
    conn: database.Conn, job: TrackedJob, file: BinaryIO, size: int, report: Report
) -> None:
    rows = read_rows(file)
    async with queries.copy_in(conn) as copy:
        while batch := await asyncio.to_thread(_take, rows):
            for row in batch:
                if isinstance(row, Refused):
                    report.refuse(row)
                else:
                    await copy.write_row(astuple(row))
                    report.read += 1
            done = 100 * file.tell() // max(size, 1)
            await job.report(done, f"Importing: {report.read:,} activities")


def _take(rows: Iterator[Values | Refused]) -> list[Values | Refused]:
    return list(islice(rows, _BATCH))
