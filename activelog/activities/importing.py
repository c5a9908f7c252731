import asyncio
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from itertools import islice
from typing import Any, BinaryIO

from psycopg import Rollback

from activelog import db, tickets
from activelog.activities import queries
from activelog.activities.csv_rows import Refused, read_rows
from activelog.activities.model import Values
from activelog.tickets import Work

KEPT_ERRORS = 1000
_BATCH = 1000


@dataclass
class Report:
    imported: int = 0
    rejected: int = 0
    errors: list[Refused] = field(default_factory=list)

    def refuse(self, refused: Refused) -> None:
        self.rejected += 1
        if len(self.errors) < KEPT_ERRORS:
            self.errors.append(refused)

    def result(self) -> dict[str, Any]:
        errors = [{"line": error.line, "reason": error.reason} for error in self.errors]
        return {"imported": self.imported, "rejected": self.rejected, "errors": errors}


async def import_file(work: Work, file: BinaryIO, size: int) -> bool:
    """All good rows and the ticket's completion in one transaction. False when the ticket was
    finished or cancelled meanwhile: then nothing was imported."""
    report = Report()
    completed = False
    async with work.services.pool.connection() as conn, conn.transaction() as transaction:
        await _copy_rows(conn, work, file, size, report)
        message = f"{report.imported:,} activities imported, {report.rejected:,} rows refused"
        completed = await tickets.complete(
            conn, work.ticket_id, message=message, result=report.result(), days=None
        )
        if not completed:
            raise Rollback(transaction)
    return completed


async def _copy_rows(conn: db.Conn, work: Work, file: BinaryIO, size: int, report: Report) -> None:
    rows = read_rows(file)
    async with queries.copy_in(conn) as copy:
        while batch := await asyncio.to_thread(_take, rows):
            for row in batch:
                if isinstance(row, Refused):
                    report.refuse(row)
                else:
                    await copy.write_row((work.user_id, *astuple(row)))
                    report.imported += 1
            done = 100 * file.tell() // max(size, 1)
            await work.report(done, f"Importing: {report.imported:,} activities")


def _take(rows: Iterator[Values | Refused]) -> list[Values | Refused]:
    return list(islice(rows, _BATCH))
