"""Activities as CSV bytes, by the csv module, as RFC 4180 wants them."""

import csv
import io
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from activelog.base.date_ranges import Selection
from activelog.base.formatting import escape_formula
from activelog.database import Conn
from activelog.exports import queries
from activelog.exports.model import CsvRequest

COLUMNS = (
    "id",
    "activity_type",
    "duration_minutes",
    "distance_km",
    "activity_date",
    "tags",
    "notes",
)
_BOM = b"\xef\xbb\xbf"
_GZIP = 16 + zlib.MAX_WBITS


async def csv_chunks(
    conn: Conn, selection: Selection, wanted: CsvRequest
) -> AsyncGenerator[bytes, None]:
    """Chunks of whole rows: a header, then activities, newest first, from one snapshot.

    Texts are stored with LF only; every LF becomes CRLF, inside of quotes as well, and the import
    turns it back.
    """
    tags = wanted.include_tags
    header = csv_lines([COLUMNS if tags else (*COLUMNS[:5], "notes")])
    start = (_BOM if wanted.bom else b"") + header
    rows = queries.rows(conn, selection)
    async with aclosing(rows):
        async for batch in rows:
            yield start + csv_lines([_cells(row, tags=tags, raw=wanted.raw) for row in batch])
            start = b""
    if start:
        yield start


def csv_lines(rows: list[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cells(row: tuple[str, ...], *, tags: bool, raw: bool) -> tuple[str, ...]:
    """Of the columns, texts escaped for spreadsheets unless they are to stay `raw`."""
    row_id, kind, minutes, kilometres, date, all_tags, notes = row
    if not raw:
        kind, all_tags, notes = map(escape_formula, (kind, all_tags, notes))
    if "\n" in notes:
        notes = notes.replace("\n", "\r\n")
    if not tags:
        return row_id, kind, minutes, kilometres, date, notes
    return row_id, kind, minutes, kilometres, date, all_tags, notes


async def gzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The first chunk comes at once, the others when there is enough to send."""
    packer = zlib.compressobj(level=6, wbits=_GZIP)
    async for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()
