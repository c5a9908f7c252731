"""A PDF report: read in one snapshot, drawn in a process of its own."""

from pathlib import Path

from activelog import pdf, recap
from activelog.db import Conn
from activelog.errors import Permanent
from activelog.exports import queries
from activelog.exports.model import PdfRequest
from activelog.period import Selection, Span
from activelog.services import Services

_KINDS = {"monthly": "Monthly report", "yearly": "Yearly report", "range": "Activity report"}
TOO_MANY = (
    f"a PDF has {recap.MOST_ROWS:,} activities at most, and there are more;"
    " choose a shorter time, or CSV, which has no limit"
)


async def write_pdf(
    services: Services, conn: Conn, selection: Selection, wanted: PdfRequest, span: Span, path: Path
) -> int:
    """Writes the file; returns the number of activities in it."""
    if await queries.has_more_than(conn, selection, recap.MOST_ROWS):
        raise Permanent(TOO_MANY)
    found = await recap.read(conn, selection, span)
    rows = await recap.rows(conn, selection, span)
    document = recap.make_document(
        found,
        rows,
        kind=_KINDS[wanted.report_type],
        charts=wanted.include_charts,
        fonts=services.settings.font_files(),
    )
    path.write_bytes(await services.offload(pdf.render, document))
    return len(rows)
