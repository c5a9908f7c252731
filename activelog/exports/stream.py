"""CSV straight from Postgres into the response, without a file in between."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from activelog.base.date_ranges import Selection, TimeRange
from activelog.base.errors import AppError
from activelog.exports.csv_file import csv_chunks, gzipped
from activelog.exports.model import CsvQuery
from activelog.exports.routes import check_known
from activelog.exports.tasks import CONTENT_TYPES
from activelog.http import Endpoint
from activelog.services import Services, of_request
from activelog.storage import content_disposition


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
    if services.streams.locked():
        raise AppError("busy", "too many downloads at the moment; try again", 503, retry_after=5)
    chunks = _chunks(services, selection, query)
    first = await anext(chunks)  # whatever fails before it is an ordinary error
    return _CsvResponse(first, chunks, file_name, query.suffix)


async def _chunks(
    services: Services, selection: Selection, wanted: CsvQuery
) -> AsyncGenerator[bytes, None]:
    async with (
        services.streams,
        services.pool.connection() as conn,
        aclosing(csv_chunks(conn, selection, wanted)) as chunks,
    ):
        async for chunk in gzipped(chunks) if wanted.gzip else chunks:
            yield chunk


class _CsvResponse(StreamingResponse):
    """Closes its source whatever happens: when the client goes away, the connection to Postgres
    is free at once. An error in the middle breaks the connection, so it cannot pass for the end.
    """

    def __init__(
        self, first: bytes, rest: AsyncGenerator[bytes, None], file_name: str, suffix: str
    ) -> None:
        self._source = rest
        super().__init__(self._all(first), 200, _headers(file_name), CONTENT_TYPES[suffix])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._source.aclose()

    async def _all(self, first: bytes) -> AsyncGenerator[bytes, None]:
        yield first
        async for chunk in self._source:
            yield chunk


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
             answer_type="text/csv"),
    Endpoint("GET", "/api/v1/export/activities/csv", download_csv, {200: None},
             answer_type="text/csv"),
]  # fmt: skip
