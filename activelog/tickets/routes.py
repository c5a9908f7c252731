import asyncio
import math
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from hashlib import sha256
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from activelog import http
from activelog.base import auth
from activelog.base.errors import AppError
from activelog.database import Conn
from activelog.http import Endpoint
from activelog.queue import AnyTask
from activelog.services import Services, of_request
from activelog.tickets import queries
from activelog.tickets.model import JobAccepted, JobStatus, Ticket

_QUIET_SECONDS = 15.0


async def show(request: Request, user_id: int, job_id: UUID) -> Response:
    """Status, progress and result of a job. Ask again after `Retry-After` seconds; with
    `If-None-Match` an unchanged state is answered by 304."""
    services = of_request(request)
    async with services.pool.connection() as conn:
        ticket = await queries.get(conn, job_id, user_id)
    if ticket is None:
        raise AppError.not_found("job")
    return http.with_etag(request, _show(request, ticket))


async def events(request: Request, user_id: int, job_id: UUID) -> Response:
    """The same status as server-sent events, one for each change, until the job has ended. With
    `Last-Event-ID` it goes on where a broken connection left off; 204 says that nothing follows.
    """
    services = of_request(request)
    ticket = await services.batch(queries.find, queries.Wanted(job_id, user_id))
    if ticket is None:
        raise AppError.not_found("job")
    seen = request.headers.get("last-event-id", "")
    has_link = http.may(request, "export")
    if _is_over(ticket) and _event(services, ticket, has_link)[0] == seen:
        return Response(status_code=204)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if request.method == "HEAD":
        return Response(None, 200, headers, "text/event-stream")
    services.followers.check(user_id)
    stream = _events(services, job_id, user_id, seen, has_link)
    return StreamingResponse(stream, 200, headers, "text/event-stream")


async def _events(
    services: Services, ticket_id: UUID, user_id: int, seen: str, has_link: bool
) -> AsyncIterator[str]:
    with (
        services.followers(user_id),
        services.ticket_notifier.follow(str(ticket_id)) as changed,
    ):
        while True:
            # Read after following began, and after every quiet while: nothing can be missed. (And
            # shared with others: a client that hangs up here would take a connection with it.)
            ticket = await services.batch(queries.find, queries.Wanted(ticket_id, user_id))
            if ticket is None:
                return
            number, event = _event(services, ticket, has_link)
            if number != seen:
                yield event
            if _is_over(ticket):
                return
            seen = number
            if not await _changes(changed):
                yield ": still here\n\n"  # or proxies would close a quiet connection


async def _changes(changed: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(_QUIET_SECONDS):
            await changed.wait()
    except TimeoutError:
        return False
    changed.clear()
    return True


def _event(services: Services, ticket: Ticket, has_link: bool) -> tuple[str, str]:
    """Its id and its text. The id stands for the state, so whoever has it has missed nothing."""
    data = msgspec.json.encode(status_of(services, ticket, has_link=has_link)).decode()
    number = sha256(data.encode()).hexdigest()[:16]
    return number, f"id: {number}\nevent: status\ndata: {data}\n\n"


def _is_over(ticket: Ticket) -> bool:
    return ticket.status not in ("pending", "processing")


async def cancel(request: Request, user_id: int, job_id: UUID) -> Response:
    """Cancels a job that waits and stops one that runs; its result is dropped."""
    services = of_request(request)
    async with services.pool.connection() as conn:
        cancelled = await queries.cancel(conn, job_id, user_id)
        ticket = await queries.get(conn, job_id, user_id)
    if ticket is None:
        raise AppError.not_found("job")
    if not cancelled and ticket.status != "cancelled":
        raise AppError("conflict", f"the job is {ticket.status} already", 409)
    return _show(request, ticket)


async def accept(
    request: Request, conn: Conn, ticket_id: UUID, kind: str, task: AnyTask, message: str
) -> Response:
    """The 202 that answers a request for work, with an estimate from the measured pace."""
    services = of_request(request)
    seconds = await _estimate(services, conn, kind, task.queue)
    now = services.clock().replace(microsecond=0)
    url = f"/api/v1/jobs/{ticket_id}"
    body = JobAccepted(message, ticket_id, url, now + timedelta(seconds=math.ceil(seconds)))
    return http.json(body, 202, {"Location": url, "Retry-After": "1"})


async def _estimate(services: Services, conn: Conn, kind: str, queue: str) -> float:
    """Measured once a second: under load it would cost more than the request itself."""
    measure = partial(queries.estimate, conn, kind, queue)
    return await services.memo.get(("estimate", kind), 1, measure)


def download_url(services: Services, ticket: Ticket) -> str:
    """A link to the file that works without a token, in a mail too, until the ticket expires."""
    expires = int(ticket.expires_at.timestamp()) if ticket.expires_at else 0
    signature = auth.sign(services.settings.secret, "download", ticket.id, expires)
    return (
        f"{services.settings.base_url}/api/v1/export/{ticket.id}/download"
        f"?expires={expires}&signature={signature}"
    )


def status_of(services: Services, ticket: Ticket, *, has_link: bool = True) -> JobStatus:
    """`has_link`: to the file, for those who may export."""
    return ticket.body(download_url(services, ticket) if has_link else "")


def _show(request: Request, ticket: Ticket) -> Response:
    has_link = http.may(request, "export")
    response = http.json(status_of(of_request(request), ticket, has_link=has_link))
    if not _is_over(ticket):
        response.headers["Retry-After"] = "1"
    return response


ENDPOINTS = [
    Endpoint("GET", "/api/v1/jobs/{job_id}", show, {200: JobStatus, 304: None}, scope="any"),
    Endpoint("GET", "/api/v1/jobs/{job_id}/events", events, {200: None, 204: None},
             answer_types=("text/event-stream",), scope="any"),
    Endpoint("DELETE", "/api/v1/jobs/{job_id}", cancel, {200: JobStatus}, errors=(409,)),
    Endpoint("GET", "/api/v1/export/{job_id}/status", show, {200: JobStatus, 304: None},
             scope="any"),
]  # fmt: skip
