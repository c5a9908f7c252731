"""Pages for people: who looks at them, and the forms that they send.

Signed in is who has the session cookie: HttpOnly, SameSite=Lax, and Secure behind https. A form
counts only when its request comes from a page of ours, which the Origin header says (browsers send
it with every POST, and no script can change it), so another site cannot send one in somebody's
name. What went wrong or well is told on the next page, by a cookie that is read once.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Match, Route

from activelog import database, http
from activelog.base import auth
from activelog.base.errors import AppError
from activelog.base.units import Habits, Units, WeekStart, in_units
from activelog.base.zones import at_place
from activelog.http import refused, templating
from activelog.services import of_request

FLASH = "activelog_flash"
_DEVICE_SECONDS = 365 * 86400

Handler = Callable[..., Awaitable[Response]]
Form = dict[str, str]

_SQL = database.queries("http")


@dataclass(frozen=True)
class Visitor:
    id: int
    name: str
    email: str
    is_admin: bool
    zone: str
    units: Units
    week_start: WeekStart
    delete_after: datetime | None

    @property
    def habits(self) -> Habits:
        return Habits(self.units, self.week_start)

    def distance(self, kilometres: float) -> float:
        """In the units that this person likes."""
        return in_units(kilometres, self.units)

    def clock(self, moment: datetime) -> datetime:
        """The moment by the clocks where this person lives."""
        return at_place(moment, self.zone)


@dataclass(frozen=True)
class Page:
    """A handler names what it needs: `visitor` (signed in), `form`, names from its path."""

    method: str
    path: str
    handler: Handler
    needs: Literal["nobody", "user", "admin"] = "user"

    @cached_property
    def parameters(self) -> dict[str, Any]:
        return http.parameters_of(self.handler)

    def route(self) -> Route:
        return http.typed_route(self.method, self.path, self._respond, self.parameters)

    async def _respond(self, request: Request) -> Response:
        visitor = await visitor_of(request)
        request.state.visitor = visitor
        if self.needs != "nobody" and visitor is None:
            return RedirectResponse(f"/sign-in?next={quote(_wanted(request), safe='')}", 303)
        if self.needs == "admin" and not (visitor and visitor.is_admin):
            return problem(request, AppError.not_found("page"))
        try:
            if self.method == "POST":
                check_origin(request)
            return await self.handler(request, **await self._arguments(request, visitor))
        except AppError as error:
            return await self._refused(request, error)

    async def _arguments(self, request: Request, visitor: Visitor | None) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        for name, kind in self.parameters.items():
            if name == "visitor":
                arguments[name] = visitor
            elif name == "form":
                request.state.form = http.form(await http.read_body(request))
                arguments[name] = _once(request, dict(request.state.form))
            else:
                arguments[name] = http.path_value(str(request.path_params[name]), kind)
        return arguments

    async def _refused(self, request: Request, error: AppError) -> Response:
        """A form stands again on its page, which says why. Where it was only a button, the page
        that comes next says it; whatever else is refused is a page."""
        if self.method != "POST" or error.status == 403:
            return problem(request, error)
        form: Form = getattr(request.state, "form", {})
        came_from = _came_from(request)
        for address in (came_from, request.url.path) if form else ():
            response = await _page_at(request, address)
            html = bytes(response.body).decode() if response else ""
            told = refused.refilled(html, request.url.path, form, error.message, error.details)
            if response and told:
                return _with_retry(HTMLResponse(told, error.status, _headers(response)), error)
        if came_from:
            return back(request, _path(came_from), error.message, kind="error")
        return problem(request, error)


async def _page_at(request: Request, address: str) -> Response | None:
    """As a GET of a page of ours answers now; None if there is none."""
    path, _, query = address.partition("?")
    wanted: dict[str, Any] = {
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
    }
    scope = {**request.scope, **wanted}
    for route in request.app.routes:
        match, found = route.matches(scope)
        if match is Match.FULL and isinstance(getattr(route.endpoint, "__self__", None), Page):
            response: Response = await route.endpoint(Request({**scope, **found}))
            return response if response.status_code == 200 else None
    return None


def _headers(response: Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name != "content-length"}


def _once(request: Request, form: Form) -> Form:
    """A form that is sent twice, by a double click, acts once: its key counts as the header."""
    if key := form.pop("once", ""):
        request.scope["headers"].append((b"idempotency-key", key.encode("ascii", "replace")))
    return form


async def visitor_of(request: Request) -> Visitor | None:
    session = await http.cookie_session(request)
    if session is None:
        return None
    user_id = session.user_id
    request.state.session = session
    async with of_request(request).pool.connection() as conn:
        visitor = await database.one(conn, _SQL["visitor"], {"user_id": user_id}, Visitor)
        request.state.unread = await request.app.state.unread(conn, user_id) if visitor else 0
    return visitor


def check_origin(request: Request) -> None:
    origin = _split(request.headers.get("origin", ""))
    is_safe = origin.scheme == "https" or not _is_encrypted(request)
    if origin.netloc != request.headers.get("host") or not is_safe:
        raise AppError("forbidden", "that form was not sent from a page of ours", 403)


def _wanted(request: Request) -> str:
    """Where somebody wants to be after signing in: for a form, the page that it stood on."""
    if request.method != "GET":
        return _path(_came_from(request))
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _came_from(request: Request) -> str:
    """The page of ours that a form stood on, with its query; "" for none."""
    page = _split(request.headers.get("referer", ""))
    query = f"?{page.query}" if page.query else ""
    return local_path(f"{page.path}{query}") if page.path else ""


def _path(address: str) -> str:
    return address.partition("?")[0]


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def page(request: Request, template: str, *, status: int = 200, **data: Any) -> Response:
    visitor = getattr(request.state, "visitor", None)
    kind, _, message = unquote(request.cookies.get(FLASH, "")).partition(":")
    response = templating.page(
        template,
        status=status,
        visitor=visitor,
        unread=getattr(request.state, "unread", 0),
        path=request.url.path,
        flash={"kind": kind, "message": message} if message else None,
        **data,
    )
    if message:
        _set(request, response, FLASH, "", seconds=0)
    response.headers["Cache-Control"] = "no-store"
    return response


def known_query(request: Request, kind: type[msgspec.Struct]) -> dict[str, str]:
    """What the address says of the type's fields. Empty ones are left out, and so is what others
    add to links (`utm_source`)."""
    fields = request.query_params.items()
    return {name: value for name, value in fields if value and name in kind.__struct_fields__}


def problem(request: Request, error: AppError) -> Response:
    return _with_retry(page(request, "http/problem.html", status=error.status, error=error), error)


def _with_retry(response: Response, error: AppError) -> Response:
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def back(
    request: Request, path: str, message: str = "", *, kind: Literal["done", "error"] = "done"
) -> Response:
    """To a page of ours after a form, with a word on how it went. Where that is the operators' page
    on which the form stood, its filters stay. (People shall see what they have just made.)"""
    came_from = _came_from(request)
    stays = path.startswith("/admin") and _path(came_from) == path
    response = RedirectResponse(came_from if stays else path, 303)
    if message:
        _set(request, response, FLASH, quote(f"{kind}:{message}"), seconds=60)
    return response


def sign_in(request: Request, token: str, path: str) -> Response:
    response = RedirectResponse(path, 303)
    _set(request, response, http.SESSION_COOKIE, token, seconds=auth.SESSION_HOURS * 3600)
    if device := getattr(request.state, "device", None):
        _set(request, response, http.DEVICE_COOKIE, device, seconds=_DEVICE_SECONDS)
    return response


def name_device(request: Request) -> None:
    """Before a browser signs in for the first time, so that it is known again by a cookie."""
    if http.DEVICE_COOKIE not in request.cookies:
        request.state.device = secrets.token_urlsafe(16)


def sign_out(request: Request) -> Response:
    response = RedirectResponse("/sign-in", 303)
    _set(request, response, http.SESSION_COOKIE, "", seconds=0)
    return response


def local_path(text: str) -> str:
    """An address to lead somebody to, if it is on this site: `//evil.example` is another host."""
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_ours else "/activities"


def _set(request: Request, response: Response, name: str, value: str, *, seconds: int) -> None:
    secure = _is_encrypted(request)
    response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="lax", secure=secure)


def _is_encrypted(request: Request) -> bool:
    """Whether people's browsers reach us by https, whatever a proxy makes of it."""
    return of_request(request).settings.base_url.startswith("https:")


async def for_script(answer: Awaitable[Response], target: str) -> Response:
    """What the API answered, and the page that the script opens then."""
    try:
        body = msgspec.json.decode((await answer).body)
    except AppError as error:
        return http.problem(error)
    return http.json({"page": target.format_map(body)})
