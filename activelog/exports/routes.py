from datetime import datetime
from uuid import UUID, uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from activelog import api, auth, tickets
from activelog.db import Conn
from activelog.errors import AppError
from activelog.exports import queries
from activelog.exports.model import (
    CsvRequest,
    DownloadQuery,
    Export,
    ExportItem,
    ExportPage,
    HistoryQuery,
)
from activelog.exports.tasks import generate
from activelog.period import parse_period
from activelog.services import Services, of_request
from activelog.tickets import Line
from activelog.tickets.routes import accept, status_of

CSV = "export csv"
AT_ONCE, WAITING = 2, 10  # exports of one user
PRESIGNED_SECONDS = 600


async def request_csv(request: Request, user_id: int, body: CsvRequest) -> Response:
    """Starts an export of activities as CSV; a mail announces it when it is ready."""
    parse_period(body.start_date, body.end_date)

    async def start(conn: Conn) -> Response:
        export_id = uuid4()
        key = f"exports/{user_id}/{export_id}.csv"
        export = Export(export_id, user_id, "csv", msgspec.to_builtins(body), key)
        line = Line(f"exports of {user_id}", slots=AT_ONCE, waiting=WAITING)
        opening = tickets.opening(export_id, user_id, CSV, generate, line)
        if not await queries.request(conn, export, opening):
            message = f"{AT_ONCE + WAITING} of your exports are unfinished; wait for one"
            raise AppError("too many requests", message, 429, retry_after=30)
        return await accept(request, conn, export_id, CSV, generate, "export job started")

    return await api.once(request, user_id, body, start)


async def download(request: Request, export_id: UUID, query: DownloadQuery) -> Response:
    """Leads to the finished file for ten minutes. Needs the link of the job's result or mail, or
    a bearer token. 409 while it is not ready, 410 after it expired."""
    services = of_request(request)
    user_id = None if _is_signed(services, export_id, query) else api.current_user(request)
    async with services.pool.connection() as conn:
        export = await queries.get(conn, export_id)
        ticket = await tickets.get(conn, export_id, export.user_id) if export else None
    if export is None or ticket is None or user_id not in (None, export.user_id):
        raise AppError.not_found("export")
    if ticket.status == "expired":
        raise AppError("gone", "the export has expired; request a new one", 410)
    if ticket.status != "completed":
        raise AppError("not ready", f"the export is {ticket.status}", 409)
    name = f"activities-{ticket.created_at:%Y-%m-%d}.csv"
    url = await services.storage.presign(export.object_key, name, PRESIGNED_SECONDS)
    return RedirectResponse(url, 302, {"Cache-Control": "no-store"})


async def history(request: Request, user_id: int, query: HistoryQuery) -> Response:
    """One's exports, newest first, each with the state of its job."""
    services = of_request(request)
    before = api.decode_cursor(query.cursor, tuple[datetime, UUID]) if query.cursor else None
    async with services.pool.connection() as conn:
        found = await queries.page(conn, user_id, before, query.limit + 1)
        shown = found[: query.limit]
        jobs = await tickets.get_all(conn, [export.id for export in shown], user_id)
    items = [
        ExportItem(export.id, export.format, export.filters, status_of(services, jobs[export.id]))
        for export in shown
    ]
    more = len(found) > query.limit
    cursor = api.encode_cursor(shown[-1].created_at, shown[-1].id) if more else None
    return api.json(ExportPage(items, cursor))


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


def _is_signed(services: Services, export_id: UUID, query: DownloadQuery) -> bool:
    secret = services.settings.secret
    genuine = bool(query.signature) and auth.check_signature(
        query.signature, secret, "download", export_id, query.expires
    )
    if genuine and auth.is_past(query.expires):
        raise AppError("gone", "the link has expired", 410)
    return genuine
