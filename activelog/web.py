"""The HTTP application: every route in one table, what happens at start and stop, errors."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
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

from activelog import api, db, files, openapi, pages, services, site
from activelog.access_log import AccessLog
from activelog.accounts import model as accounts_model
from activelog.accounts import pages as accounts_pages
from activelog.accounts import routes as accounts
from activelog.activities import model as activities_model
from activelog.activities import pages as activities_pages
from activelog.activities import photos
from activelog.activities import routes as activities
from activelog.api import Endpoint
from activelog.errors import AppError
from activelog.exports import model as exports_model
from activelog.exports import pages as exports_pages
from activelog.exports import routes as exports
from activelog.exports import stream
from activelog.friends import model as friends_model
from activelog.friends import pages as friends_pages
from activelog.friends import routes as friends
from activelog.monitoring import pages as monitoring_pages
from activelog.monitoring import routes as monitoring
from activelog.outbox import preview
from activelog.outbox import routes as outbox
from activelog.reports import model as reports_model
from activelog.reports import pages as reports_pages
from activelog.reports import routes as reports
from activelog.services import make_services, of_request
from activelog.settings import Settings
from activelog.storage import FILES_PATH, StorageError
from activelog.summaries import model as summaries_model
from activelog.summaries import pages as summaries_pages
from activelog.summaries import routes as summaries
from activelog.tickets import routes as tickets
from activelog.tickets.model import JobAccepted, JobStatus

logger = logging.getLogger(__name__)

ENDPOINTS = [
    Endpoint("POST", "/api/v1/auth/register", accounts.register,
             {202: accounts_model.Registered}, errors=(429,)),
    Endpoint("POST", "/api/v1/auth/login", accounts.sign_in,
             {200: accounts_model.Session}, errors=(401, 429)),
    Endpoint("POST", "/api/v1/auth/resend-verification", accounts.resend_verification,
             {202: accounts_model.Resent}, errors=(401, 429), bearer=True,
             idempotent=True),
    Endpoint("GET", "/api/v1/auth/verify-email", accounts.verify_email,
             {200: accounts_model.Verified}),
    Endpoint("POST", "/api/v1/auth/forgot-password", accounts.forgot_password,
             {202: accounts_model.Done}, errors=(429,)),
    Endpoint("POST", "/api/v1/auth/reset-password", accounts.reset_password,
             {200: accounts_model.Done}, errors=(429,)),
    Endpoint("GET", "/api/v1/users/me", accounts.me, {200: accounts_model.Profile}),
    Endpoint("DELETE", "/api/v1/users/me", accounts.delete, {202: accounts_model.Profile},
             errors=(429,)),
    Endpoint("POST", "/api/v1/users/me/restore", accounts.restore, {200: accounts_model.Profile}),
    Endpoint("POST", "/api/v1/users/me/export", exports.request_everything, {202: JobAccepted},
             errors=(429,), idempotent=True),
    Endpoint("GET", "/api/v1/users/me/mail-preferences", outbox.show_preferences,
             {200: outbox.Preferences}),
    Endpoint("PATCH", "/api/v1/users/me/mail-preferences", outbox.change_preferences,
             {200: outbox.Preferences}),
    Endpoint("POST", "/api/v1/users/me/reports/weekly-summary", summaries.request_weekly,
             {202: summaries_model.WeeklyAccepted}, errors=(429,), idempotent=True),
    Endpoint("GET", "/api/v1/stats/daily", summaries.daily, {200: summaries_model.Stats}),
    Endpoint("GET", "/api/v1/stats/weekly", summaries.weekly, {200: summaries_model.Stats}),
    Endpoint("GET", "/api/v1/stats/monthly", summaries.monthly, {200: summaries_model.Stats}),
    Endpoint("GET", "/api/v1/reports", reports.page, {200: reports_model.Reports}),
    Endpoint("GET", "/api/v1/reports/{month}/download", reports.download, {302: None},
             errors=(401, 403, 410), bearer=True),
    Endpoint("GET", "/api/v1/friends", friends.page, {200: friends_model.FriendPage}),
    Endpoint("DELETE", "/api/v1/friends/{friend_id}", friends.unfriend, {204: None}),
    Endpoint("POST", "/api/v1/friends/requests", friends.ask, {202: friends_model.Asked},
             errors=(429,)),
    Endpoint("GET", "/api/v1/friends/requests", friends.requests,
             {200: friends_model.FriendRequests}),
    Endpoint("POST", "/api/v1/friends/requests/{request_id}/accept", friends.accept, {204: None}),
    Endpoint("POST", "/api/v1/friends/requests/{request_id}/decline", friends.decline,
             {204: None}),
    Endpoint("POST", "/api/v1/friends/requests/{request_id}/block", friends.block, {204: None}),
    Endpoint("GET", "/api/v1/friends/blocked", friends.blocked, {200: friends_model.BlockedPage}),
    Endpoint("DELETE", "/api/v1/friends/blocked/{blocked_id}", friends.unblock, {204: None}),
    Endpoint("GET", "/api/v1/notifications", friends.notifications,
             {200: friends_model.NotificationPage}),
    Endpoint("POST", "/api/v1/notifications/read", friends.mark_read, {204: None}),
    Endpoint("POST", "/api/v1/activities", activities.create, {201: activities_model.Activity}),
    Endpoint("GET", "/api/v1/activities", activities.page, {200: activities_model.ActivityPage}),
    Endpoint("POST", "/api/v1/activities/import", activities.import_upload, {202: JobAccepted},
             errors=(429,), request_type="text/csv", idempotent=True),
    Endpoint("POST", "/api/v1/activities/export/csv", exports.request_csv, {202: JobAccepted},
             errors=(429,), idempotent=True),
    Endpoint("POST", "/api/v1/activities/export/pdf", exports.request_pdf, {202: JobAccepted},
             errors=(429,), idempotent=True),
    Endpoint("POST", "/api/v1/export/request", exports.request_any, {202: JobAccepted},
             errors=(429,), idempotent=True),
    Endpoint("GET", "/api/v1/activities/{activity_id}", activities.show,
             {200: activities_model.Activity}),
    Endpoint("PATCH", "/api/v1/activities/{activity_id}", activities.change,
             {200: activities_model.Activity}),
    Endpoint("DELETE", "/api/v1/activities/{activity_id}", activities.delete, {204: None}),
    Endpoint("POST", "/api/v1/activities/{activity_id}/photos", photos.add,
             {201: activities_model.Photo}, errors=(409,), request_type="image/*"),
    Endpoint("GET", "/api/v1/activities/{activity_id}/photos", photos.page,
             {200: activities_model.Photos}),
    Endpoint("GET", "/api/v1/photos/{photo_id}", photos.show, {302: None}),
    Endpoint("DELETE", "/api/v1/photos/{photo_id}", photos.delete, {204: None}),
    Endpoint("GET", "/api/v1/jobs/{job_id}", tickets.show, {200: JobStatus, 304: None}),
    Endpoint("GET", "/api/v1/jobs/{job_id}/events", tickets.events, {200: None, 204: None},
             answer_type="text/event-stream"),
    Endpoint("DELETE", "/api/v1/jobs/{job_id}", tickets.cancel, {200: JobStatus}, errors=(409,)),
    Endpoint("GET", "/api/v1/activities/export/csv/download", stream.download_csv, {200: None},
             answer_type="text/csv"),
    Endpoint("GET", "/api/v1/export/activities/csv", stream.download_csv, {200: None},
             answer_type="text/csv"),
    Endpoint("GET", "/api/v1/export/history", exports.history, {200: exports_model.ExportPage}),
    Endpoint("GET", "/api/v1/export/{job_id}/status", tickets.show, {200: JobStatus, 304: None}),
    Endpoint("DELETE", "/api/v1/export/{export_id}", exports.delete, {204: None}),
    Endpoint("GET", "/api/v1/export/{export_id}/download", exports.download,
             {302: None}, errors=(401, 409, 410), bearer=True),
]  # fmt: skip

PAGES = [
    *accounts_pages.PAGES,
    *activities_pages.PAGES,
    *exports_pages.PAGES,
    *friends_pages.PAGES,
    *monitoring_pages.PAGES,
    *preview.PAGES,
    *reports_pages.PAGES,
    *summaries_pages.PAGES,
]


def create_app(settings: Settings) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        pool = db.make_pool(settings.database_url, max_size=20, application="activelog api")
        async with pool:
            app.state.services = make_services(settings, pool)
            yield
            services.close(app.state.services)

    app = Starlette(
        routes=[
            *(endpoint.route() for endpoint in ENDPOINTS),
            *(page.route() for page in PAGES),
            Route("/static/{name}", pages.asset, methods=["GET"]),
            Route("/unsubscribe", outbox.unsubscribe_page, methods=["GET"]),
            Route("/unsubscribe", outbox.unsubscribe, methods=["POST"]),
            Route(FILES_PATH + "{key:path}", files.serve, methods=["GET"]),
            Route("/openapi.json", _openapi, methods=["GET"]),
            Route("/docs", _docs, methods=["GET"]),
            Route("/healthz", monitoring.alive, methods=["GET"]),
            Route("/readyz", monitoring.ready, methods=["GET"]),
            Route("/metrics", monitoring.metrics, methods=["GET"]),
        ],
        lifespan=lifespan,
        middleware=[Middleware(AccessLog, on_error=_internal_error)],
        exception_handlers={
            AppError: _refused,
            ClientDisconnect: _hung_up,
            HTTPException: _http_error,
            psycopg.OperationalError: _away("the database"),
            psycopg.errors.ForeignKeyViolation: _account_gone,
            StorageError: _away("the file storage"),
        },
    )
    app.router.redirect_slashes = False  # to an address that the client named
    return app


async def _openapi(request: Request) -> Response:
    return api.json(_document(of_request(request).settings.base_url))


async def _docs(request: Request) -> Response:
    return _docs_page(of_request(request).settings.base_url)


@cache
def _docs_page(base_url: str) -> Response:
    return pages.page("docs.html", document=_document(base_url))


@cache
def _document(base_url: str) -> dict[str, Any]:
    return openapi.document(ENDPOINTS, base_url)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)
    return _answer(request, error)


def _answer(request: Request, error: AppError) -> Response:
    """A page for a browser that shows one, JSON for everybody else."""
    is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    return site.problem(request, error) if is_page else api.problem(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _answer(request, AppError("not found", "there is nothing at this address", 404))
    response = api.problem(AppError("method not allowed", error.detail, error.status_code))
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
    return api.problem(AppError("unauthorized", "the account is gone", 401))


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
