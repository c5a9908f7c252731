"""One line for each request, without the query string, which may hold a token or a signature; and
its time for Prometheus, by route and not by path, of which there are as many as ids. Each request
has an id, the proxy's or client's where one is sent, which the answer repeats. What it
took of a rate limit is told by headers."""

import asyncio
import logging
import re
import secrets
import time
from urllib.parse import quote

from prometheus_client import CollectorRegistry, Histogram
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activelog.base import logs, traces
from activelog.database import rate_limits

REGISTRY = CollectorRegistry()
SECONDS = Histogram(
    "activelog_http_seconds",
    "Requests by route and status",
    ["method", "route", "status"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10),
    registry=REGISTRY,
)

_HEADER = "X-Request-ID"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_ID = re.compile(r"[A-Za-z0-9_.-]{8,64}")

logger = logging.getLogger(__name__)


class AccessLog:
    """`on_error` answers for an error that nothing else did, `on_stop` for a request that the end
    of the server cuts off; `headers` go with every answer."""

    def __init__(
        self,
        app: ASGIApp,
        on_error: ASGIApp,
        on_stop: ASGIApp,
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        self._app = app
        self._on_error = on_error
        self._on_stop = on_stop
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parent = Headers(scope=scope).get("traceparent")
        with traces.span(_method(scope), "SERVER", parent):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.perf_counter(), 0
        request_id = _request_id(scope)
        logs.bind(request_id=request_id)
        taken = rate_limits.watch()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _describe(scope, status)
                message["headers"] = [
                    *message["headers"],
                    *self._headers,
                    *rate_limits.headers(taken),
                    (_HEADER.lower().encode(), request_id.encode()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            if not status:  # or a layer outside of this one would answer, unseen and without the id
                await self._on_error(scope, receive, noting)
            raise
        except asyncio.CancelledError:
            if not status:  # or uvicorn would say that it was our mistake
                await self._on_stop(scope, receive, noting)
            raise
        finally:
            seconds = time.perf_counter() - began
            route = _route(scope)
            SECONDS.labels(_method(scope), route, str(status)).observe(seconds)
            if logger.isEnabledFor(logging.INFO):
                milliseconds = round(seconds * 1000, 1)
                # (The path as it came: decoded, it may hold line breaks.)
                path = quote(scope["path"])
                logger.info(
                    "%s %s %d %.1f ms", scope["method"], path, status, milliseconds,
                    extra={"method": scope["method"], "route": route, "status": status,
                           "milliseconds": milliseconds},
                )  # fmt: skip


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "none")


def _describe(scope: Scope, status: int) -> None:
    method, route = _method(scope), _route(scope)
    attributes: traces.Attributes = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
    }
    traces.describe(attributes, name=f"{method} {route}")
    if status >= 500:
        traces.fail(str(status))


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(_HEADER, "")
    return given if _ID.fullmatch(given) else secrets.token_hex(8)
