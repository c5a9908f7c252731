"""The HTTP application, put together from what each feature brings: its endpoints, pages, routes
and mails; what happens at start and stop."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from activelog import database, http, services
from activelog.accounts import changes, mail_preferences, tokens
from activelog.accounts import mails as accounts_mails
from activelog.accounts import pages as accounts_pages
from activelog.accounts import routes as accounts_routes
from activelog.activities import pages as activities_pages
from activelog.activities import photos
from activelog.activities import routes as activities_routes
from activelog.base import traces
from activelog.base.settings import Settings
from activelog.exports import mails as exports_mails
from activelog.exports import pages as exports_pages
from activelog.exports import routes as exports_routes
from activelog.exports import stream
from activelog.friends import mails as friends_mails
from activelog.friends import pages as friends_pages
from activelog.friends import queries as friends_queries
from activelog.friends import routes as friends_routes
from activelog.http import error_answers, files, openapi, samples, templating
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
from activelog.tickets import routes as tickets_routes
from activelog.webhooks import mails as webhooks_mails
from activelog.webhooks import pages as webhooks_pages
from activelog.webhooks import routes as webhooks_routes

_LOCK_SECONDS = (
    10.0  # after this a request that waits for a lock fails, and gives its connection back
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
                AccessLog,
                on_error=error_answers.internal_error,
                on_stop=error_answers.stopping,
                headers=_headers(settings),
            ),
        ],
        exception_handlers=error_answers.HANDLERS,
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
