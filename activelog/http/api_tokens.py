"""Tokens for programs: each has a name and scopes, works until it expires or is revoked, and can do
nothing with the account itself."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from activelog import database
from activelog.base import auth
from activelog.base.errors import AppError
from activelog.database import Conn
from activelog.services import Services

Scope = Literal["read", "write", "export", "admin"]

_PREFIX = "activelog_"  # by which people and scanners of secrets know one
_SQL = database.queries("http")


@dataclass(frozen=True)
class ApiToken:
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class _Found:
    user_id: int
    scopes: list[Scope]


def is_api_token(token: str) -> bool:
    return token.startswith(_PREFIX)


async def owner_of_token(
    services: Services, token: str, scope: Scope | Literal["any"]
) -> tuple[int, list[Scope]]:
    """Whose it is, and what it may do."""
    params = {"token_hash": auth.hash_token(token)}
    async with services.pool.connection() as conn:
        found = await database.one(conn, _SQL["token"], params, _Found)
    if found is None:
        raise auth.unauthorized("the API token is not valid, revoked or expired")
    if scope != "any" and scope not in found.scopes:
        raise AppError("forbidden", f"the API token lacks the scope {scope}", 403)
    return found.user_id, found.scopes


async def api_tokens(conn: Conn, user_id: int) -> list[ApiToken]:
    """Newest first."""
    return await database.many(conn, _SQL["tokens"], {"user_id": user_id}, ApiToken)


async def add_api_token(
    conn: Conn, user_id: int, name: str, scopes: Sequence[Scope], expires_at: datetime | None
) -> str | None:
    """The token, which nobody can find out later; None when there are too many. Raises
    UniqueViolation for a name that another one has."""
    token = _PREFIX + secrets.token_urlsafe(32)
    params = {
        "user_id": user_id,
        "name": name,
        "scopes": list(scopes),
        "token_hash": auth.hash_token(token),
        "expires_at": expires_at,
    }
    async with conn.transaction():
        await database.execute(conn, _SQL["lock_owner"], {"user_id": user_id})
        return token if await database.execute(conn, _SQL["add_token"], params) else None


async def remove_api_token(conn: Conn, user_id: int, name: str) -> bool:
    params = {"user_id": user_id, "name": name}
    return await database.execute(conn, _SQL["remove_token"], params) > 0
