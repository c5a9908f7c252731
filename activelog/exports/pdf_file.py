"""A PDF report: read in one snapshot, drawn in a process of its own."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from activelog import database, report
from activelog.accounts import queries as accounts
from activelog.base.errors import Permanent
from activelog.base.pictures import clean_picture
from activelog.exports import queries
from activelog.exports.model import PdfRequest
from activelog.report import Photo, pdf
from activelog.services import Services
from activelog.storage import ObjectMissing

_KINDS = {"monthly": "Monthly report", "yearly": "Yearly report", "range": "Activity report"}
MOST_PHOTOS = 60
_PIXELS = 700  # of the longer side: 56 mm at 300 dots an inch
TOO_MANY = (
    f"a PDF has {report.MOST_ROWS:,} activities at most, and there are more;"
    " choose a shorter time, or CSV, which has no limit"
)


async def write_pdf(services: Services, user_id: int, wanted: PdfRequest, path: Path) -> int:
    """Writes the file; returns the number of activities in it."""
    dates, selection = wanted.dates(), wanted.selection(user_id)
    most_photos = MOST_PHOTOS + 1 if wanted.include_photos else 0
    async with database.snapshot(services.reader) as conn:
        if await queries.has_more_than(conn, selection, report.MOST_ROWS):
            raise Permanent(TOO_MANY)
        today = await accounts.local_day(conn, user_id, services.clock())
        found = await report.read(conn, selection, dates, today)
        rows = await report.rows(conn, selection, dates)
        photos = await report.photos(conn, selection, dates, most_photos)
    pictures = [small async for small in _pictures(services, user_id, photos[:MOST_PHOTOS])]
    document = report.make_document(
        found,
        rows,
        kind=_KINDS[wanted.report_type],
        charts=wanted.include_charts,
        only=_only(wanted),
        pictures=pictures,
        left_out=len(photos) > MOST_PHOTOS,
        fonts=services.settings.font_files(),
    )
    path.write_bytes(await report.draw(services, user_id, document))
    return len(rows)


def _only(wanted: PdfRequest) -> str:
    """Which activities are in it, for people."""
    tag = f"tagged {wanted.tag}" if wanted.tag else ""
    return f"only {' '.join(filter(None, (wanted.type, tag)))}" if wanted.type or tag else ""


async def _pictures(
    services: Services, user_id: int, photos: Iterable[Photo]
) -> AsyncIterator[pdf.Picture]:
    """Scaled to what paper shows."""
    for photo in photos:
        try:
            async with services.storage.open(photo.object_key) as file:
                small = await services.offload(clean_picture, file.read(), _PIXELS, owner=user_id)
        except ObjectMissing:  # deleted meanwhile
            continue
        date = f"{photo.local_time.day} {photo.local_time:%B}"
        yield pdf.Picture(small.data, f"{photo.activity_type}, {date}")
