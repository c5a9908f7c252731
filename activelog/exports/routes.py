from datetime import datetime
from uuid import UUID, uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from activelog import http, tickets
from activelog.accounts import queries as accounts
from activelog.accounts import quotas
from activelog.base import auth
from activelog.base.date_ranges import Selection
from activelog.base.errors import AppError
from activelog.database import Conn
from activelog.exports import queries
from activelog.exports.model import (
    AnyFormat,
    AnyRequest,
    CsvRequest,
    DownloadQuery,
    Export,
    ExportItem,
    ExportPage,
    FormatQuery,
    HistoryQuery,
    PdfRequest,
    ZipRequest,
)
from activelog.exports.pdf_file import TOO_MANY
from activelog.exports.tasks import generate
from activelog.http import Endpoint, files
from activelog.report import MOST_ROWS
from activelog.services import Services, of_request
from activelog.tickets import ConcurrencyGroup, JobAccepted
from activelog.tickets.routes import accept, status_of

_KINDS: dict[AnyFormat, str] = {
    "csv": "export csv",
    "pdf": "export pdf",
    "zip": "export everything",
}
AT_ONCE, WAITING = 2, 10  # exports of one user


async def request_csv(request: Request, user_id: int, body: CsvRequest) -> Response:
    """Starts an export of activities as CSV; a mail announces it when it is ready."""
    return await _start_csv(request, user_id, body, "export job started")


async def request_pdf(request: Request, user_id: int, body: PdfRequest) -> Response:
    """Starts a PDF report: of a month, a year or a range of days, with figures against the time
    before, charts and a table of 20,000 activities at most."""
    return await _start_pdf(request, user_id, body, "pdf generation started")


async def request_any(
    request: Request, user_id: int, query: FormatQuery, body: AnyRequest
) -> Response:
    """Starts an export in the format that the body or the query names, csv or pdf."""
    fields = msgspec.to_builtins(body)
    said = fields.pop("format", None)
    if query.format and said and said != query.format:
        message = f"is {query.format} in the address and {said} in the body"
        raise AppError.invalid("format", message)
    wanted = query.format or said
    message = "Export is being generated. Check status with job_id."
    if wanted == "csv":
        return await _start_csv(request, user_id, http.convert(fields, CsvRequest), message)
    if wanted == "pdf":
        return await _start_pdf(request, user_id, http.convert(fields, PdfRequest), message)
    raise AppError.invalid("format", "is required: csv or pdf")


async def request_everything(request: Request, user_id: int) -> Response:
    """Starts an export of all that is yours as one ZIP: activities, photos, reports, friends,
    notifications, mails."""

    async def start(conn: Conn) -> Response:
        return await _start(request, conn, user_id, "zip", ZipRequest(), "export job started")

    return await http.once(request, user_id, ZipRequest(), start)


async def _start_csv(request: Request, user_id: int, body: CsvRequest, message: str) -> Response:
    selection = body.selection(user_id)

    async def start(conn: Conn) -> Response:
        await check_known(conn, selection)
        return await _start(request, conn, user_id, "csv", body, message)

    return await http.once(request, user_id, body, start)


async def _start_pdf(request: Request, user_id: int, body: PdfRequest, message: str) -> Response:
    services = of_request(request)
    async with services.pool.connection() as conn:
        today = await accounts.local_day(conn, user_id, services.clock())
    wanted = body.dated(today)
    selection = wanted.selection(user_id)

    async def start(conn: Conn) -> Response:
        await check_known(conn, selection)
        if await queries.has_more_than(conn, selection, MOST_ROWS):
            raise AppError("too large", TOO_MANY)
        return await _start(request, conn, user_id, "pdf", wanted, message)

    return await http.once(request, user_id, body, start)


async def check_known(conn: Conn, selection: Selection) -> None:
    """A misspelt type or tag would give an empty file."""
    if selection.type is None and selection.tag is None:
        return
    known = await queries.known(conn, selection)
    if not known.type:
        raise AppError.invalid("type", f"you have no activities of the type {selection.type!r}")
    if not known.tag:
        raise AppError.invalid("tag", f"you have no activities with the tag {selection.tag!r}")


async def _start(
    request: Request,
    conn: Conn,
    user_id: int,
    format: AnyFormat,  # noqa: A002 - the API's own word
    body: CsvRequest | PdfRequest | ZipRequest,
    message: str,
) -> Response:
    export_id, kind = uuid4(), _KINDS[format]
    key = f"exports/{user_id}/{export_id}.{body.suffix}"
    export = Export(export_id, user_id, format, msgspec.to_builtins(body), key)
    await quotas.check(conn, of_request(request).settings.quotas, user_id, "export_bytes")
    group = ConcurrencyGroup(f"exports of {user_id}", limit=AT_ONCE, most_waiting=WAITING)
    opening = tickets.opening(export_id, user_id, kind, generate, group)
    if not await queries.request(conn, export, opening):
        raise group.refusal("exports")
    return await accept(request, conn, export_id, kind, generate, message)


async def download(request: Request, export_id: UUID, query: DownloadQuery) -> Response:
    """Leads to the finished file for ten minutes. Needs the link of the job's result or mail, or
    a bearer token. 409 while it is not ready, 410 after it expired."""
    services = of_request(request)
    is_signed = _is_signed(services, export_id, query)
    user_id = None if is_signed else await _downloader(request, query)
    async with services.pool.connection() as conn:
        export = await queries.get(conn, export_id)
        ticket = await tickets.get(conn, export_id, export.user_id) if export else None
    if export is None or ticket is None or user_id not in (None, export.user_id):
        raise AppError.not_found("export")
    if ticket.status == "expired":
        raise AppError("gone", "the export has expired; request a new one", 410)
    if ticket.status != "completed":
        raise AppError("not ready", f"the export is {ticket.status}", 409)
    return await files.lead_to(services, export.object_key, _file_name(export, ticket.created_at))


async def history(request: Request, user_id: int, query: HistoryQuery) -> Response:
    """One's exports, newest first, each with the state of its job."""
    return http.json(await find_history(of_request(request), user_id, query))


async def find_history(services: Services, user_id: int, query: HistoryQuery) -> ExportPage:
    before = http.decode_cursor(query.cursor, tuple[datetime, UUID]) if query.cursor else None
    async with services.pool.connection() as conn:
        found = await queries.page(conn, user_id, before, query.limit + 1)
        shown, cursor = http.cut(found, query.limit, lambda one: (one.created_at, one.id))
        jobs = await tickets.get_all(conn, [export.id for export in shown], user_id)
    items = [
        ExportItem(export.id, export.format, export.filters, status_of(services, jobs[export.id]))
        for export in shown
        if export.id in jobs  # not deleted meanwhile
    ]
    return ExportPage(items, cursor)


async def delete(request: Request, user_id: int, export_id: UUID) -> Response:
    """Deletes an export and its file; one that waits or runs is cancelled first."""
    services = of_request(request)
    async with services.pool.connection() as conn:
        export = await queries.get(conn, export_id)
        if export is None or export.user_id != user_id:
            raise AppError.not_found("export")
        await tickets.cancel(conn, export_id, user_id)
    # The object before the row: a row without an object can be deleted again.
    await services.storage.remove(export.object_key)
    async with services.pool.connection() as conn:
        await queries.delete(conn, export_id)
    return Response(status_code=204)


def _file_name(export: Export, requested: datetime) -> str:
    if export.format == "csv":
        return f"activities-{requested:%Y-%m-%d}.{export.suffix}"
    if export.format == "zip":
        return f"activelog-{requested:%Y-%m-%d}.zip"
    dates = export.pdf().dates()
    return f"report-{dates.first}-{dates.last}.pdf"


async def _downloader(request: Request, query: DownloadQuery) -> int:
    """Who is signed in, although the link is none of ours."""
    try:
        return await http.current_user(request, "export")
    except AppError as error:
        if query.signature and error.status == 401:
            message = "the link is damaged or not one of ours; copy all of it from the mail"
            raise AppError(error.code, message, error.status) from None
        raise


def _is_signed(services: Services, export_id: UUID, query: DownloadQuery) -> bool:
    secret = services.settings.secret
    genuine = bool(query.signature) and auth.check_signature(
        query.signature, secret, "download", export_id, query.expires
    )
    if genuine and auth.is_past(query.expires):
        raise AppError("gone", "the link has expired", 410)
    return genuine


ENDPOINTS = [
    Endpoint("POST", "/api/v1/users/me/export", request_everything, {202: JobAccepted},
             errors=(409, 429), idempotent=True, scope="export"),
    Endpoint("POST", "/api/v1/activities/export/csv", request_csv, {202: JobAccepted},
             errors=(409, 429), idempotent=True, scope="export"),
    Endpoint("POST", "/api/v1/activities/export/pdf", request_pdf, {202: JobAccepted},
             errors=(409, 429), idempotent=True, scope="export"),
    Endpoint("POST", "/api/v1/export/request", request_any, {202: JobAccepted},
             errors=(409, 429), idempotent=True, scope="export"),
    Endpoint("GET", "/api/v1/export/history", history, {200: ExportPage}, scope="export"),
    Endpoint("DELETE", "/api/v1/export/{export_id}", delete, {204: None}, scope="export"),
    Endpoint("GET", "/api/v1/export/{export_id}/download", download, {302: None},
             errors=(409, 410), bearer=True, or_link=True),
]  # fmt: skip
