"""CSV at once: from Postgres through a file on our disk into the response."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from activelog.base.date_ranges import Selection, TimeRange
from activelog.base.errors import AppError
from activelog.exports.csv_file import csv_chunks, gzipped
from activelog.exports.model import CsvQuery
from activelog.exports.routes import check_known
from activelog.exports.tasks import CONTENT_TYPES
from activelog.http import Endpoint
from activelog.services import Services, of_request
from activelog.storage import content_disposition

_PATIENCE = 30.0  # seconds that a client may take none of what is sent
_LONGEST = 2 * 1024**3  # bytes of a download on our disk
_PIECE = 1 << 18


async def download_csv(request: Request, user_id: int, query: CsvQuery) -> Response:
    """Activities as CSV, at once. For very many of them, an export in the background is kinder to
    both sides."""
    services = of_request(request)
    selection = query.selection(user_id)
    file_name = _file_name(selection.times, query.suffix)
    async with services.pool.connection() as conn:
        await check_known(conn, selection)
    if request.method == "HEAD":
        return Response(None, 200, _headers(file_name), CONTENT_TYPES[query.suffix])
    async with AsyncExitStack() as stack:
        stack.enter_context(services.downloads(user_id))
        if services.streams.locked() or _disk_is_full():
            message = "too many downloads at the moment; try again"
            raise AppError("busy", message, 503, retry_after=5)
        spool = _Spool(_chunks(services, selection, query))
        stack.push_async_callback(spool.close)
        await spool.begun()  # whatever fails before it is an ordinary error
        return _CsvResponse(spool, stack.pop_all(), file_name, query.suffix)


async def _chunks(
    services: Services, selection: Selection, wanted: CsvQuery
) -> AsyncGenerator[bytes, None]:
    async with (
        services.streams,
        services.reader.connection() as conn,
        aclosing(csv_chunks(conn, selection, wanted)) as chunks,
    ):
        async for chunk in gzipped(chunks) if wanted.gzip else chunks:
            yield chunk


def _disk_is_full() -> bool:
    return shutil.disk_usage(tempfile.gettempdir()).free < _LONGEST


class _Spool:
    """A file that is read while it is written. So Postgres hands over its rows, and is free of
    their snapshot, at its own speed, however slowly somebody reads."""

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self._file = tempfile.TemporaryFile(prefix="activelog-", buffering=0)  # noqa: SIM115
        self._size = 0
        self._grown = asyncio.Event()
        self._writer = asyncio.create_task(self._write(chunks))

    async def begun(self) -> None:
        """Returns when there is something to read; raises what kept it from that."""
        await self._more(0)

    async def read(self) -> AsyncIterator[bytes]:
        """All of it. Raises what ended the writing."""
        place = 0
        while await self._more(place):
            piece = os.pread(self._file.fileno(), _PIECE, place)
            if not piece:
                raise OSError("the file of the download is shorter than it was")
            place += len(piece)
            yield piece

    async def close(self) -> None:
        self._writer.cancel()
        await asyncio.wait([self._writer])
        self._file.close()

    def _append(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:  # of a disk that is nearly full it writes a part, and then raises
            written = self._file.write(rest)
            self._size += written
            rest = rest[written:]

    async def _more(self, place: int) -> bool:
        """Waits until there is something behind `place`; False when nothing will come."""
        while self._size <= place and not self._writer.done():
            self._grown.clear()
            await self._grown.wait()
        if self._size <= place:
            self._writer.result()
        return self._size > place

    async def _write(self, chunks: AsyncGenerator[bytes, None]) -> None:
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    self._append(chunk)
                    if self._size > _LONGEST:
                        raise AppError("too large", "take an export in the background for so much")
                    self._grown.set()
        finally:
            # After the task counts as done: a reader that wakes then sees that it is done.
            asyncio.get_running_loop().call_soon(self._grown.set)


class _CsvResponse(StreamingResponse):
    """Closes its source whatever happens: when the client goes away, or stops reading, the file is
    gone at once. An error in the middle breaks the connection, so it cannot pass for the end."""

    def __init__(self, spool: _Spool, source: AsyncExitStack, file_name: str, suffix: str) -> None:
        self._source = source
        super().__init__(spool.read(), 200, _headers(file_name), CONTENT_TYPES[suffix])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(_PATIENCE):
                await send(message)

        async with self._source:
            await super().__call__(scope, receive, send_in_time)


def _headers(file_name: str) -> dict[str, str]:
    return {"Content-Disposition": content_disposition(file_name)}


def _file_name(times: TimeRange, suffix: str) -> str:
    """`activities-2024-01.csv` for a month, otherwise `activities.csv`."""
    start, until = times.start, times.until
    if start and until:
        last = until - timedelta(seconds=1)
        whole = start.day == 1 and until.day == 1 and (start.year, start.month) == (
            last.year, last.month)  # fmt: skip
        if whole:
            return f"activities-{start:%Y-%m}.{suffix}"
    return f"activities.{suffix}"


ENDPOINTS = [
    Endpoint("GET", "/api/v1/activities/export/csv/download", download_csv, {200: None},
             answer_types=("text/csv", "application/gzip"), errors=(429,), scope="export"),
    Endpoint("GET", "/api/v1/export/activities/csv", download_csv, {200: None},
             answer_types=("text/csv", "application/gzip"), errors=(429,), scope="export"),
]  # fmt: skip
