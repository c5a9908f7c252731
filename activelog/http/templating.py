"""Server-rendered pages: Jinja2 over templates/pages, one stylesheet, one script, nothing from
outside, and a Content-Security-Policy that allows nothing else."""

import secrets
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from activelog.base import resources
from activelog.base.errors import AppError
from activelog.base.formatting import counted, duration, exact, sentence
from activelog.base.units import distance
from activelog.http.programs import program

_POLICY = "; ".join(
    [
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-src 'self'",
        "frame-ancestors 'none'",
    ]
)
# A mail's HTML in its preview: its styles are inline, and a page of ours frames it.
_MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
_ASSETS = {"site.css": "text/css", "site.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.folder("templates") / "pages"),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": duration,
        "counted": counted,
        "distance": distance,
        "exact": exact,
        "program": program,
        "sentence": sentence,
        "ago": _ago,
        "moment": _moment,
        "utc_offset": _utc_offset,
        "label_every": _label_every,
    }
    environment.globals["asset"] = _asset_url
    # A key for each form: sent twice, it acts once.
    environment.globals["once"] = secrets.token_urlsafe
    return environment


def page(template: str, *, status: int = 200, **data: Any) -> HTMLResponse:
    html = _environment().get_template(template).render(data)
    return HTMLResponse(html, status, _HEADERS)


def mail(html: str) -> HTMLResponse:
    return HTMLResponse(html, 200, _HEADERS | {"Content-Security-Policy": _MAIL_POLICY})


async def asset(request: Request) -> Response:
    """The stylesheet and the script, under a name that changes with what they hold."""
    name = request.path_params["name"]
    if name not in _ASSETS:
        raise AppError.not_found("file")
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(_read(name), 200, headers, _ASSETS[name])


@cache
def _read(name: str) -> bytes:
    return (resources.folder("templates") / "pages" / "http" / name).read_bytes()


@cache
def _asset_url(name: str) -> str:
    return f"/static/{name}?{sha256(_read(name)).hexdigest()[:12]}"


def _label_every(bars: int) -> int:
    """Under which bars of a chart there is a label: four to twelve of them, evenly."""
    for every in range(-(-bars // 12), bars // 4 + 1):
        if every and bars % every == 0:
            return every
    return max(1, -(-bars // 8))


def _moment(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else ""


def _utc_offset(minutes: int) -> str:
    """`UTC`, `UTC+5:30`."""
    hours, rest = divmod(abs(minutes), 60)
    sign = "+" if minutes > 0 else "−"
    return f"UTC{sign}{hours}{f':{rest:02}' if rest else ''}" if minutes else "UTC"


def _ago(at: datetime | None) -> str:
    """In words: `3 min ago`, `in 2 h`."""
    if at is None:
        return "never"
    seconds = (datetime.now(UTC) - at).total_seconds()
    text = _span(abs(seconds))
    return f"{text} ago" if seconds >= 0 else f"in {text}"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


ROUTES = [Route("/static/{name}", asset, methods=["GET"])]
