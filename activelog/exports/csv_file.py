"""CSV bytes from COPY, as RFC 4180 wants them."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from activelog.db import Conn
from activelog.exports import queries
from activelog.exports.model import CsvRequest
from activelog.period import Selection

CHUNK = 64 * 1024  # bytes
_BOM = b"\xef\xbb\xbf"
_GZIP = 16 + zlib.MAX_WBITS


async def csv_chunks(
    conn: Conn, selection: Selection, wanted: CsvRequest
) -> AsyncGenerator[bytes, None]:
    """Chunks of whole rows: a header, then activities, newest first, from one snapshot.

    COPY ends lines with LF. Texts are stored with LF only, so every LF in the stream becomes
    CRLF, inside of quotes as well, and the import turns it back.
    """
    start = _BOM if wanted.bom else b""
    rows = queries.copy_csv(conn, selection, tags=wanted.include_tags, raw=wanted.raw, size=CHUNK)
    async with aclosing(rows):
        async for chunk in rows:
            yield start + chunk.replace(b"\n", b"\r\n")
            start = b""


async def gzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The first chunk comes at once, the others when there is enough to send."""
    packer = zlib.compressobj(level=6, wbits=_GZIP)
    async for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()
