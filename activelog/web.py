"""The HTTP application, put together from what each feature brings: its endpoints, pages, routes
and mails; what happens at start and stop; errors."""

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import cache, partial
from http import HTTPStatus
from typing import Any

import psycopg
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from activelog import database, http, services
from activelog.accounts import changes, mail_preferences, tokens
from activelog.accounts import mails as accounts_mails
from activelog.accounts import pages as accounts_pages
from activelog.accounts import routes as accounts_routes
from activelog.activities import pages as activities_pages
from activelog.activities import photos
from activelog.activities import routes as activities_routes
from activelog.base import traces
from activelog.base.errors import AppError
from activelog.base.settings import Settings
from activelog.exports import mails as exports_mails
from activelog.exports import pages as exports_pages
from activelog.exports import routes as exports_routes
from activelog.exports import stream
from activelog.friends import mails as friends_mails
from activelog.friends import pages as friends_pages
from activelog.friends import queries as friends_queries
from activelog.friends import routes as friends_routes
from activelog.http import files, openapi, pages, samples, templating
from activelog.http.access_log import AccessLog
from activelog.imports import pages as imports_pages
from activelog.imports import routes as imports_routes
from activelog.monthly_reports import mails as monthly_reports_mails
from activelog.monthly_reports import pages as monthly_reports_pages
from activelog.monthly_reports import routes as monthly_reports_routes
from activelog.operations import api as operations_api
from activelog.operations import mail_preview
from activelog.operations import pages as operations_pages
from activelog.operations import routes as operations_routes
from activelog.services import make_services, of_request
from activelog.statistics import mails as statistics_mails
from activelog.statistics import pages as statistics_pages
from activelog.statistics import routes as statistics_routes
from activelog.storage import StorageError
from activelog.tickets import routes as tickets_routes
from activelog.webhooks import mails as webhooks_mails
from activelog.webhooks import pages as webhooks_pages
from activelog.webhooks import routes as webhooks_routes

logger = logging.getLogger(__name__)

_LOCK_SECONDS = 10.0  # then who waits for somebody's lock gives its connection to others
_WORTH_ANOTHER_TRY = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
)

ENDPOINTS = [
    *accounts_routes.ENDPOINTS,
    *tokens.ENDPOINTS,
    *changes.ENDPOINTS,
    *mail_preferences.ENDPOINTS,
    *activities_routes.ENDPOINTS,
    *photos.ENDPOINTS,
    *imports_routes.ENDPOINTS,
    *exports_routes.ENDPOINTS,
    *stream.ENDPOINTS,
    *tickets_routes.ENDPOINTS,
    *statistics_routes.ENDPOINTS,
    *webhooks_routes.ENDPOINTS,
    *monthly_reports_routes.ENDPOINTS,
    *friends_routes.ENDPOINTS,
    *operations_api.ENDPOINTS,
]
PAGES = [
    *accounts_pages.PAGES,
    *activities_pages.PAGES,
    *imports_pages.PAGES,
    *exports_pages.PAGES,
    *friends_pages.PAGES,
    *monthly_reports_pages.PAGES,
    *statistics_pages.PAGES,
    *webhooks_pages.PAGES,
    *operations_pages.PAGES,
    *mail_preview.PAGES,
]
ROUTES = [
    *mail_preferences.ROUTES,
    *operations_routes.ROUTES,
    *files.ROUTES,
    *templating.ROUTES,
]
MAILS = (
    *accounts_mails.MAILS,
    *exports_mails.MAILS,
    *friends_mails.MAILS,
    *monthly_reports_mails.MAILS,
    *statistics_mails.MAILS,
    *webhooks_mails.MAILS,
)


def create_app(settings: Settings) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        others = settings.other_database_urls
        await asyncio.to_thread(database.check_one_database, settings.database_url, others)
        pool = database.make_pool(
            settings.database_url,
            max_size=settings.db_connections,
            application="activelog api",
            is_pooled=settings.is_pooled,
            lock_seconds=_LOCK_SECONDS,
        )
        async with pool:
            app.state.services = make_services(settings, pool)
            app.state.mails = MAILS
            traces.start("activelog api")
            app.state.unread = friends_queries.unread  # what the head of each page shows
            yield
            services.close(app.state.services)
            await app.state.services.reader.close()
            await asyncio.to_thread(traces.flush)

    app = Starlette(
        routes=[
            *(endpoint.route() for endpoint in ENDPOINTS),
            *(page.route() for page in PAGES),
            *ROUTES,
            Route("/openapi.json", _openapi, methods=["GET"]),
            Route("/docs", _docs, methods=["GET"]),
        ],
        lifespan=lifespan,
        middleware=[
            Middleware(
                AccessLog, on_error=_internal_error, on_stop=_stopping, headers=_headers(settings)
            ),
        ],
        exception_handlers={
            AppError: _refused,
            ClientDisconnect: _hung_up,
            HTTPException: _http_error,
            psycopg.OperationalError: _database_error,
            psycopg.errors.ForeignKeyViolation: _account_gone,
            StorageError: _away("the file storage"),
            OSError: _disk_error,
        },
    )
    app.router.redirect_slashes = False  # to an address that the client named
    return app


def _headers(settings: Settings) -> list[tuple[bytes, bytes]]:
    """Of every answer: behind https browsers come by https only."""
    if not settings.base_url.startswith("https:"):
        return []
    return [(b"strict-transport-security", b"max-age=31536000")]


async def _openapi(request: Request) -> Response:
    return http.json(_document(of_request(request).settings.base_url))


async def _docs(request: Request) -> Response:
    return _docs_page(of_request(request).settings.base_url)


@cache
def _docs_page(base_url: str) -> Response:
    document = _document(base_url)
    return templating.page(
        "http/docs.html",
        document=document,
        tags=list(dict.fromkeys(_tags(document))),
        curl=partial(samples.curl, document),
        answer=partial(samples.answer, document),
    )


def _tags(document: dict[str, Any]) -> Iterator[str]:
    for operations in document["paths"].values():
        for operation in operations.values():
            yield operation["tags"][0]


@cache
def _document(base_url: str) -> dict[str, Any]:
    return openapi.document(ENDPOINTS, base_url)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    return _answer(request, error)


def _answer(request: Request, error: AppError) -> Response:
    """A page for a browser that shows one, JSON for everybody else, and for the API's clients."""
    wants_page = "text/html" in request.headers.get("accept", "")
    is_page = wants_page and not request.url.path.startswith("/api/")
    return pages.problem(request, error) if is_page else http.problem(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _answer(request, AppError("not found", "there is nothing at this address", 404))
    response = http.problem(AppError("method not allowed", error.detail, error.status_code))
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


async def _internal_error(scope: Scope, receive: Receive, send: Send) -> None:
    # The error goes on to uvicorn, which logs it with its traceback.
    error = AppError("internal error", "something went wrong on our side", 500)
    await _answer(Request(scope), error)(scope, receive, send)


async def _stopping(scope: Scope, receive: Receive, send: Send) -> None:
    error = AppError("unavailable", "this server is stopping; try again", 503, retry_after=1)
    await _answer(Request(scope), error)(scope, receive, send)
