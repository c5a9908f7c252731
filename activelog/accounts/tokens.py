"""A person's tokens for programs."""

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
import psycopg
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from activelog import http
from activelog.accounts.model import Moment, clean_name
from activelog.base.errors import AppError
from activelog.http import Endpoint, Scope
from activelog.services import of_request

_NAME = Meta(min_length=1, max_length=100, examples=["backup"])
_SCOPES = Meta(
    min_length=1,
    description="read, write: activities, friends and settings; export: files and reports;"
    " admin: what admins do",
    examples=[["read", "export"]],
)


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, _NAME]
    scopes: Annotated[list[Scope], _SCOPES]
    days: (
        Annotated[int, Meta(ge=1, le=3650, description="that it works; for ever if absent")] | None
    ) = None


class TokenItem(msgspec.Struct):
    name: Annotated[str, _NAME]
    scopes: Annotated[list[Scope], _SCOPES]
    created_at: Moment
    expires_at: Annotated[datetime | None, Meta(description="null: never")]
    last_used_at: Annotated[datetime | None, Meta(description="to the minute; null: never")]


class Tokens(msgspec.Struct):
    """Newest first."""

    tokens: list[TokenItem]


class CreatedToken(msgspec.Struct):
    token: Annotated[str, Meta(description="shown only now", examples=["activelog_Zm9v…"])]
    name: Annotated[str, _NAME]
    scopes: Annotated[list[Scope], _SCOPES]
    expires_at: Annotated[datetime | None, Meta(description="null: never")]


class TokenQuery(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, _NAME]


async def page(request: Request, user_id: int) -> Response:
    """Your API tokens, without the tokens themselves."""
    async with of_request(request).pool.connection() as conn:
        found = await http.api_tokens(conn, user_id)
    return http.json(Tokens([TokenItem(**vars(one)) for one in found]))


async def create(request: Request, user_id: int, body: NewToken) -> Response:
    """Makes a token for programs. It works beside your sessions, for what its scopes name, and
    never for your password, address, sessions, tokens, or the end of your account."""
    return http.json(await make(request, user_id, body), 201)


async def make(request: Request, user_id: int, wanted: NewToken) -> CreatedToken:
    services, name = of_request(request), clean_name(wanted.name)
    expires_at = services.clock() + timedelta(days=wanted.days) if wanted.days else None
    scopes = list(dict.fromkeys(wanted.scopes))
    try:
        async with services.pool.connection() as conn:
            token = await http.add_api_token(conn, user_id, name, scopes, expires_at)
    except psycopg.errors.UniqueViolation:
        raise AppError("conflict", f"you have a token named {name}; revoke it first", 409) from None
    if token is None:
        raise AppError("too many", "you have fifty API tokens; revoke one first", 409)
    return CreatedToken(token, name, scopes, expires_at)


async def revoke(request: Request, user_id: int, query: TokenQuery) -> Response:
    """Revokes a token; it works no more."""
    async with of_request(request).pool.connection() as conn:
        if not await http.remove_api_token(conn, user_id, clean_name(query.name)):
            raise AppError.not_found("token")
    return Response(status_code=204)


ENDPOINTS = [
    Endpoint("GET", "/api/v1/users/me/tokens", page, {200: Tokens}, scope="session"),
    Endpoint("POST", "/api/v1/users/me/tokens", create, {201: CreatedToken}, errors=(409,),
             scope="session"),
    Endpoint("DELETE", "/api/v1/users/me/tokens", revoke, {204: None}, errors=(404,),
             scope="session"),
]  # fmt: skip
