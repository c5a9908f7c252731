"""Who asks: by a bearer token, or a browser's cookie."""

import time

from starlette.requests import Request

from activelog import database
from activelog.base import auth
from activelog.base.errors import AppError
from activelog.services import Services, of_request

SESSION_COOKIE = "activelog_session"

_SQL = database.queries("http")
_NEW_PASSWORDS_SECONDS = 5.0


async def current_user(request: Request) -> int:
    """By the bearer token; what changes nothing also by a browser's cookie, for downloads and
    events. (Another site can have a browser send cookies, but not read the answer.)"""
    if request.method == "GET" and not bearer(request):
        user_id = await cookie_user(request)
        if user_id is not None:
            return user_id
    return await _session_user(of_request(request), bearer(request))


async def cookie_user(request: Request) -> int | None:
    try:
        token = request.cookies.get(SESSION_COOKIE, "")
        return await _session_user(of_request(request), token)
    except AppError:
        return None


async def _session_user(services: Services, token: str) -> int:
    claims = auth.read_token(services.settings.secret, "session", token)
    user_id = int(claims.subject)
    if claims.issued < (await _new_passwords(services)).get(user_id, 0):
        raise auth.unauthorized("the password is a new one since; sign in again")
    return user_id


async def _new_passwords(services: Services) -> dict[int, float]:
    """When it was, by user, as of a few seconds ago: they are few, and tokens are checked often."""
    found: dict[int, float]
    until, found = services.memo.get("new passwords", (0.0, {}))
    if time.monotonic() > until:
        async with services.pool.connection() as conn:
            cursor = await conn.execute(_SQL["new_passwords"], {"hours": auth.SESSION_HOURS})
            found = dict(await cursor.fetchall())
        services.memo["new passwords"] = (time.monotonic() + _NEW_PASSWORDS_SECONDS, found)
    return found


def bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
