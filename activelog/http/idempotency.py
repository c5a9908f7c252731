"""Requests with an Idempotency-Key: once for each key."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from activelog import database
from activelog.base.errors import AppError
from activelog.database import Conn
from activelog.services import of_request

KEY_LENGTH = 200

_SQL = database.queries("http")
_REPLAYED = "Idempotent-Replayed"


async def once(
    request: Request, user_id: int, body: object, act: Callable[[Conn], Awaitable[Response]]
) -> Response:
    """Runs `act` on a connection in autocommit mode; with an Idempotency-Key once for each key.

    The same key and request again get the first answer; another request with that key gets 422;
    one whose first request is still at work 409. The key is written in the same transaction, so
    a request that failed or was cut off leaves none.
    """
    pool = of_request(request).pool
    key = request.headers.get("idempotency-key")
    if key is None:
        async with pool.connection() as conn:
            return await act(conn)
    _check_key(key)
    async with database.transaction(pool) as conn:
        fingerprint = sha256(request.url.path.encode() + msgspec.json.encode(body)).hexdigest()
        claim = {"user_id": user_id, "key": key, "fingerprint": fingerprint}
        if not await database.value(conn, _SQL["lock_key"], claim):
            raise AppError(
                "conflict", "a request with this key is still at work", 409, retry_after=1
            )
        earlier = await database.one(conn, _SQL["find_key"], claim, _Earlier)
        if earlier is not None:
            return _replay(earlier, fingerprint)
        response = await act(conn)
        await database.execute(conn, _SQL["keep_answer"], claim | _answer(response))
        return response


@dataclass(frozen=True)
class _Earlier:
    fingerprint: str
    status: int
    headers: dict[str, str]
    body: bytes


def _check_key(key: str) -> None:
    if not 1 <= len(key) <= KEY_LENGTH or not key.isascii() or not key.isprintable():
        raise AppError.invalid("Idempotency-Key", f"up to {KEY_LENGTH} printable characters")


def _replay(earlier: _Earlier, fingerprint: str) -> Response:
    if earlier.fingerprint != fingerprint:
        raise AppError("key reused", "this Idempotency-Key belongs to a different request", 422)
    headers = earlier.headers | {_REPLAYED: "true"}
    return Response(earlier.body, earlier.status, headers, "application/json")


def is_replay(response: Response) -> bool:
    return _REPLAYED in response.headers


def _answer(response: Response) -> dict[str, Any]:
    kept = {name: response.headers[name] for name in ("location",) if name in response.headers}
    return {
        "status": response.status_code,
        "headers": msgspec.json.encode(kept).decode(),
        "body": bytes(response.body),
    }
