import asyncio
import hmac
from functools import partial

import psycopg
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from activelog import database, http
from activelog.base import auth
from activelog.base.errors import AppError
from activelog.database.migrations import missing
from activelog.operations import queries
from activelog.operations.metrics import expose, measure
from activelog.services import Services, of_request

_PATIENCE = 5.0  # seconds, for a database or a store that hangs


async def metrics(request: Request) -> Response:
    """Measured every two seconds at most, however many ask. With ACTIVELOG_METRICS_TOKEN only for
    those who send it."""
    services = of_request(request)
    token = services.settings.metrics_token
    if token and not hmac.compare_digest(http.bearer(request).encode(), token.encode()):
        raise auth.unauthorized("send ACTIVELOG_METRICS_TOKEN as a bearer token")
    try:
        async with asyncio.timeout(_PATIENCE):
            text = await services.memo.get("metrics", 2, partial(_measured, services))
    except TimeoutError:
        message = "the database does not answer; try again"
        raise AppError("unavailable", message, 503, retry_after=2) from None
    return Response(text, media_type=CONTENT_TYPE_LATEST)


async def _measured(services: Services) -> bytes:
    async with database.snapshot(services.reader) as conn:
        return expose(await measure(conn, services.pool))


async def alive(request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def ready(request: Request) -> Response:
    """Whether everything is there that requests need, a line each. A worker that is missing is
    said, but does not make the API unready: it still takes orders."""
    lines, good = await check(of_request(request))
    return PlainTextResponse("\n".join(lines) + "\n", 200 if good else 503)


async def check(services: Services) -> tuple[list[str], bool]:
    database, storage = await asyncio.gather(_database(services), _storage(services))
    return [*database[0], storage[0]], database[1] and storage[1]


async def _database(services: Services) -> tuple[list[str], bool]:
    try:
        async with asyncio.timeout(_PATIENCE), services.pool.connection(timeout=3) as conn:
            found = await queries.ready(conn)
    except psycopg.errors.UndefinedTable:
        return ["database: ok", "migrations: none: run activelog migrate", "worker: unknown"], False
    except Exception as error:
        away = f"database: away ({type(error).__name__}): does it run, and is its URL right?"
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            away = "database: its role has no rights: let the role that migrates own it, or grant"
        return [away, "migrations: unknown", "worker: unknown"], False
    if not found.may_write:
        denied = "database: its role may only read: let it be the role that migrates"
        return [denied, "migrations: unknown", "worker: unknown"], False
    lacking = missing(found.migrations)
    migrations = f"{len(lacking)} to apply: run activelog migrate" if lacking else "ok"
    worker = "ok" if found.has_worker else "none is alive: run procrastinate worker"
    return ["database: ok", f"migrations: {migrations}", f"worker: {worker}"], not lacking


async def _storage(services: Services) -> tuple[str, bool]:
    try:
        async with asyncio.timeout(_PATIENCE):
            async for _ in services.storage.walk("readiness/", 1):
                break
    except Exception as error:
        away = f"storage: away ({type(error).__name__}): does it run, and is its URL right?"
        return away, False
    return "storage: ok", True


ROUTES = [
    Route("/healthz", alive, methods=["GET"]),
    Route("/readyz", ready, methods=["GET"]),
    Route("/metrics", metrics, methods=["GET"]),
]
