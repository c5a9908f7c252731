"""What is answered when a request is refused, or when something that it needs is away: a page for
browsers, JSON for all others."""

import errno
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import psycopg
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from activelog import database
from activelog.base.errors import AppError
from activelog.http import pages
from activelog.http.answers import problem
from activelog.storage import StorageError

logger = logging.getLogger(__name__)

_WORTH_ANOTHER_TRY = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    return _answer(request, error)


def _answer(request: Request, error: AppError) -> Response:
    """A page for a browser that shows one, JSON for everybody else, and for the API's clients."""
    wants_page = "text/html" in request.headers.get("accept", "")
    is_page = wants_page and not request.url.path.startswith("/api/")
    return pages.problem(request, error) if is_page else problem(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _answer(request, AppError("not found", "there is nothing at this address", 404))
    response = problem(AppError("method not allowed", error.detail, error.status_code))
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["Allow"] = ", ".join(_allowed(request))
    return response


def _allowed(request: Request) -> list[str]:
    """Of every route with this path; the router names only the first one's methods."""
    matching = (
        route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE
    )
    return sorted({method for route in matching for method in route.methods})


async def _hung_up(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # as nginx counts it; nobody reads it


async def _account_gone(request: Request, error: Exception) -> Response:
    """A token outlives its account; what its owner writes then has nobody to belong to."""
    assert isinstance(error, psycopg.Error)
    if not (error.diag.constraint_name or "").endswith("user_id_fkey"):
        raise error
    return _answer(request, AppError("unauthorized", "the account is gone", 401))


async def _database_error(request: Request, error: Exception) -> Response:
    """Away, or a statement that failed: a deadlock is worth another try, the rest is ours."""
    if database.is_away(error):
        return _away("the database")(request, error)
    if isinstance(error, psycopg.errors.DiskFull):
        return _full(request, error)
    if isinstance(error, _WORTH_ANOTHER_TRY):
        logger.warning("%s %s failed", request.method, request.url.path, exc_info=error)
        message = "the database broke this request off, maybe for another one; try again"
        return _answer(request, AppError("unavailable", message, 503, retry_after=1))
    raise error


async def _disk_error(request: Request, error: Exception) -> Response:
    """A full disk, ours or the database's, is an outage like another; the rest is ours."""
    assert isinstance(error, OSError)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(request, error)
    raise error


def _full(request: Request, error: Exception) -> Response:
    logger.error("%s %s: the disk is full: %s", request.method, request.url.path, error)
    message = "there is no room on our disks for a moment; try again later"
    return _answer(request, AppError("unavailable", message, 503, retry_after=60))


def _away(what: str) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        logger.warning("%s %s: %s is away: %s", request.method, request.url.path, what, error)
        message = f"{what} is away for a moment; try again"
        return _answer(request, AppError("unavailable", message, 503, retry_after=2))

    return answer


async def internal_error(scope: Scope, receive: Receive, send: Send) -> None:
    # The error goes on to uvicorn, which logs it with its traceback.
    error = AppError("internal error", "something went wrong on our side", 500)
    await _answer(Request(scope), error)(scope, receive, send)


async def stopping(scope: Scope, receive: Receive, send: Send) -> None:
    error = AppError("unavailable", "this server is stopping; try again", 503, retry_after=1)
    await _answer(Request(scope), error)(scope, receive, send)


HANDLERS: Mapping[Any, Callable[[Request, Exception], Response | Awaitable[Response]]] = {
    AppError: _refused,
    ClientDisconnect: _hung_up,
    HTTPException: _http_error,
    psycopg.OperationalError: _database_error,
    psycopg.errors.ForeignKeyViolation: _account_gone,
    StorageError: _away("the file storage"),
    OSError: _disk_error,
}
