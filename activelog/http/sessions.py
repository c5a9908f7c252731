"""Who asks: by a bearer token, or a browser's cookie.

A token is genuine by its signature. Whether its session is over (its owner signed out, chose a new
password, or closed the account) is asked of Postgres, and believed for a second: what ends in this
process ends at once, in the others within that second.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request

from activelog import database
from activelog.base import auth
from activelog.base.errors import AppError
from activelog.database import Conn
from activelog.http.clients import client_agent, client_host
from activelog.services import Services, of_request

SESSION_COOKIE = "activelog_session"

_SQL = database.queries("http")
_BELIEVED_SECONDS = 1.0
_MOST_BELIEVED = 10_000


@dataclass(frozen=True)
class SessionId:
    """A session of a user, named by when it began."""

    user_id: int
    started_at: datetime


async def current_user(request: Request) -> int:
    """By the bearer token; what changes nothing also by a browser's cookie, for downloads and
    events. (Another site can have a browser send cookies, but not read the answer.)"""
    return (await current_session(request)).user_id


async def current_session(request: Request) -> SessionId:
    if request.method == "GET" and not bearer(request):
        session = await cookie_session(request)
        if session is not None:
            return session
    return await _session(of_request(request), bearer(request))


async def cookie_session(request: Request) -> SessionId | None:
    try:
        return await _session(of_request(request), request.cookies.get(SESSION_COOKIE, ""))
    except AppError:
        return None


async def begin_session(conn: Conn, request: Request, user_id: int, at: datetime) -> None:
    params = {"user_id": user_id, "started_at": at, "host": client_host(request)}
    await database.execute(conn, _SQL["begin"], params | {"agent": client_agent(request)})


async def end_session(services: Services, session: SessionId) -> bool:
    """False when it was over already."""
    async with services.pool.connection() as conn:
        ended = await database.execute(conn, _SQL["end"], vars(session))
    services.live_sessions.pop(session, None)
    return ended == 1


def forget_sessions(services: Services, user_id: int) -> None:
    """What was believed of a user's sessions is asked anew."""
    for session in [one for one in services.live_sessions if one.user_id == user_id]:
        services.live_sessions.pop(session, None)


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
    now = time.monotonic()
    if services.live_sessions.get(session, 0) < now:
        state = await services.batch(_states, session)
        if state == "gone":
            raise auth.unauthorized("the account is gone")
        if state == "over":
            raise auth.unauthorized("the session is over; sign in again")
        if len(services.live_sessions) >= _MOST_BELIEVED:
            services.live_sessions.clear()
        services.live_sessions[session] = now + _BELIEVED_SECONDS
    return session


async def _states(conn: Conn, sessions: Sequence[SessionId]) -> list[str]:
    params = {
        "user_ids": [session.user_id for session in sessions],
        "started": [session.started_at for session in sessions],
    }
    cursor = await conn.execute(_SQL["states"], params)
    return [state for (state,) in await cursor.fetchall()]


def bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
