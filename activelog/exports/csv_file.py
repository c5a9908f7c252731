"""Activities as CSV bytes, by the csv module, as RFC 4180 wants them."""

import csv
import io
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from itertools import chain
from operator import itemgetter
from typing import Any

from activelog.base.date_ranges import Selection
from activelog.base.formatting import escape_formula, may_hold_formula
from activelog.database import Conn
from activelog.exports import queries
from activelog.exports.model import MORE_COLUMNS, CsvRequest

COLUMNS = (
    "id",
    "activity_type",
    "duration_minutes",
    "distance_km",
    "activity_date",
    "tags",
    "notes",
)
_TEXTS = {"activity_type", "tags", "notes", "title", "source"}
_BOM = b"\xef\xbb\xbf"
_GZIP = 16 + zlib.MAX_WBITS


async def csv_chunks(
    conn: Conn, selection: Selection, wanted: CsvRequest
) -> AsyncGenerator[bytes, None]:
    """Chunks of whole rows: a header, then activities, newest first, from one snapshot.

    Texts are stored with LF only; every LF becomes CRLF, inside of quotes as well, and the import
    turns it back.
    """
    names = _columns(wanted)
    start = (_BOM if wanted.bom else b"") + csv_lines([names])
    rows = queries.rows(conn, selection, with_more=bool(wanted.more_columns))
    pick = itemgetter(*map((*COLUMNS, *MORE_COLUMNS).index, names))
    texts = itemgetter(*(place for place, name in enumerate(names) if name in _TEXTS))
    async with aclosing(rows):
        async for batch in rows:
            if names != COLUMNS:
                batch = list(map(pick, batch))
            yield start + _lines(batch, None if wanted.raw else texts)
            start = b""
    if start:
        yield start


def _columns(wanted: CsvRequest) -> tuple[str, ...]:
    """The names of those that the file has."""
    usual = [name for name in COLUMNS if wanted.include_tags or name != "tags"]
    return (*usual, *wanted.more_columns)


def csv_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    return _with_crlf(_text(rows))


def _lines(rows: list[tuple[str | None, ...]], texts: Callable[[Any], Any] | None) -> bytes:
    """`texts` picks the cells that people write: those are escaped for spreadsheets. Few batches
    hold one that has to be, so all of them are looked at together first."""
    if texts and may_hold_formula(',"' + '","'.join(chain.from_iterable(map(texts, rows)))):
        rows = [(row[0], *(cell and escape_formula(cell) for cell in row[1:])) for row in rows]
    return _with_crlf(_text(rows))


def _text(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _with_crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


async def gzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The first chunk comes at once, the others when there is enough to send."""
    packer = zlib.compressobj(level=6, wbits=_GZIP)
    async for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()
