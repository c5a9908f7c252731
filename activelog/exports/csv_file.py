"""CSV bytes from COPY, as RFC 4180 wants them."""

from collections.abc import AsyncIterator

from activelog.db import Conn
from activelog.exports import queries
from activelog.period import Period

CHUNK = 64 * 1024  # bytes; COPY gives a row at a time, and sending each alone would cost more


async def csv_chunks(
    conn: Conn, user_id: int, period: Period, *, tags: bool
) -> AsyncIterator[bytes]:
    """Chunks of whole rows: a header, then activities, newest first, from one snapshot.

    COPY ends lines with LF. Texts are stored with LF only, so every LF in the stream becomes
    CRLF, inside of quotes as well, and the import turns it back.
    """
    rows = bytearray()
    async with queries.copy_csv(conn, user_id, period, tags=tags) as copy:
        async for row in copy:
            rows += row
            if len(rows) >= CHUNK:
                yield bytes(rows).replace(b"\n", b"\r\n")
                rows.clear()
    yield bytes(rows).replace(b"\n", b"\r\n")
