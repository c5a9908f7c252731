"""One line for each request, without the query string, which may hold a token or a signature; and
its time for Prometheus, by route and not by path, of which there are as many as ids."""

import logging
import time

from prometheus_client import CollectorRegistry, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REGISTRY = CollectorRegistry()
SECONDS = Histogram(
    "activelog_http_seconds",
    "Requests by route and status",
    ["method", "route", "status"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10),
    registry=REGISTRY,
)

logger = logging.getLogger(__name__)


class AccessLog:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status = time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "none")
            SECONDS.labels(scope["method"], route, str(status)).observe(seconds)
            if logger.isEnabledFor(logging.INFO):
                logger.info(
                    "%s %s %d %.1f ms", scope["method"], scope["path"], status, seconds * 1000
                )
