"""Who asks: by a bearer token, or a browser's cookie.

A token is genuine by its signature. Which sessions ended before their time (their owner signed out
or chose a new password, or the account was closed) each process asks every second: what ends in
this process ends at once, in the others within that second.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal

from starlette.requests import Request

from activelog import database
from activelog.base import auth
from activelog.base.endings import SessionId
from activelog.base.errors import AppError
from activelog.database import Conn
from activelog.http.api_tokens import Scope, is_api_token, owner_of_token
from activelog.http.clients import client_agent, client_host, client_network
from activelog.services import Services, of_request

SESSION_COOKIE = "activelog_session"
DEVICE_COOKIE = "activelog_device"

_SQL = database.queries("http")
_ASKED_EVERY = 1.0  # seconds
_REBUILD_SECONDS = 3600.0  # then it forgets what is older than any token


async def current_user(request: Request, scope: Scope | Literal["any"]) -> int:
    """By a session's token, or an API token with that scope; what changes nothing also by a
    browser's cookie, for downloads and events. (Another site can have a browser send cookies, but
    not read the answer.)"""
    if is_api_token(token := bearer(request)):
        user_id, request.state.scopes = await owner_of_token(of_request(request), token, scope)
        return user_id
    return (await _session_of(request, token)).user_id


def may(request: Request, scope: Scope) -> bool:
    """Whether who asks may do that, too: an API token has scopes, a session all of them."""
    scopes = getattr(request.state, "scopes", None)
    return scopes is None or scope in scopes


async def current_admin(request: Request) -> int:
    """The same; for those who are no admins there is nothing here."""
    user_id = await current_user(request, "admin")
    async with of_request(request).pool.connection() as conn:
        if not await database.value(conn, _SQL["is_admin"], {"user_id": user_id}):
            raise AppError.not_found("resource")
    return user_id


async def current_session(request: Request) -> SessionId:
    if is_api_token(token := bearer(request)):
        raise AppError("forbidden", "an API token cannot do this; sign in", 403)
    return await _session_of(request, token)


async def _session_of(request: Request, token: str) -> SessionId:
    if request.method == "GET" and not token:
        session = await cookie_session(request)
        if session is not None:
            return session
    return await _session(of_request(request), token)


async def cookie_session(request: Request) -> SessionId | None:
    try:
        return await _session(of_request(request), request.cookies.get(SESSION_COOKIE, ""))
    except AppError:
        return None


async def begin_session(conn: Conn, request: Request, user_id: int, at: datetime) -> bool:
    """Whether its device is new to somebody who has signed in before."""
    params = {
        "user_id": user_id,
        "started_at": at,
        "host": client_host(request),
        "agent": client_agent(request),
        "device": _device(request),
    }
    return bool(await database.value(conn, _SQL["begin"], params))


def _device(request: Request) -> str:
    """A browser is known again by its cookie, another program by its name and network."""
    known = request.cookies.get(DEVICE_COOKIE) or getattr(request.state, "device", None)
    said = known or f"{client_agent(request)} {client_network(request)}"
    return sha256(said.encode()).hexdigest()[:32]


async def end_session(services: Services, session: SessionId) -> None:
    async with services.pool.connection() as conn:
        await database.execute(conn, _SQL["end"], vars(session))
    await ask_for_endings(services)


async def ask_for_endings(services: Services) -> None:
    """So that what ended in this process is over at once."""
    async with services.endings.asking:
        await _ask(services)


async def _ask(services: Services) -> None:
    known = services.endings
    is_anew = time.monotonic() - known.began_at > _REBUILD_SECONDS
    params = {"hours": auth.SESSION_HOURS, "since": None if is_anew else known.newest}
    async with services.pool.connection() as conn:
        rows = await (await conn.execute(_SQL["endings"], params)).fetchall()
    if is_anew:
        known.forget(time.monotonic())
    for row in rows:
        known.add(*row)
    known.asked_at = time.monotonic()


@dataclass(frozen=True)
class Open:
    started_at: datetime
    host: str
    agent: str


async def open_sessions(conn: Conn, user_id: int) -> list[Open]:
    """Newest first."""
    params = {"user_id": user_id, "hours": auth.SESSION_HOURS}
    return await database.many(conn, _SQL["open_sessions"], params, Open)


async def _session(services: Services, token: str) -> SessionId:
    claims = auth.read_token(services.settings.secret, "session", token)
    session = SessionId(int(claims.subject), datetime.fromtimestamp(claims.issued, UTC))
    known = services.endings
    if time.monotonic() - known.asked_at > _ASKED_EVERY:
        async with known.asking:
            if time.monotonic() - known.asked_at > _ASKED_EVERY:
                await _ask(services)
    if known.have(session):
        raise auth.unauthorized("the session is over; sign in again")
    return session


def bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
