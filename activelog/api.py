"""JSON in and out. A handler says by the names of its parameters what it needs:

- `user_id: int`: the signed-in user; without a valid bearer token the answer is 401;
- `body: T`: the JSON body as a msgspec type, unknown fields and wrong types refused;
- `query: T`: the query string as a msgspec type;
- a name from its path, `{export_id}`: converted by its annotation; what does not fit is a 404.

`Endpoint` ties it to a method and a path and names its answers, for the router and for the
OpenAPI document alike.
"""

import base64
import inspect
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar, get_type_hints
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from activelog import auth, db
from activelog.db import Conn
from activelog.errors import AppError
from activelog.services import Services, of_request

BODY_LIMIT = 256 * 1024  # bytes of a JSON body
KEY_LENGTH = 200
SESSION_COOKIE = "activelog_session"

T = TypeVar("T")
Handler = Callable[..., Awaitable[Response]]

_SQL = db.queries("api")
_NEW_PASSWORDS_SECONDS = 5.0
_PRIVATE = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
_REPLAYED = "Idempotent-Replayed"
_FIELD = re.compile(r" - at `\$\.?(.*?)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`")
_NUL = re.compile(rb"(?<!\\)(\\\\)*\\u0000")
_MISSING = re.compile(r"Object missing required field `(.*?)`")


def parameters_of(handler: Handler) -> dict[str, Any]:
    """The types of what it takes beside the request."""
    hints = get_type_hints(handler)
    names = list(inspect.signature(handler).parameters)
    return {name: hints[name] for name in names if name != "request"}


@dataclass(frozen=True)
class Endpoint:
    """`answers`: the body type by status, None for one without a JSON body."""

    method: str
    path: str
    handler: Handler
    answers: Mapping[int, type | None]
    errors: tuple[int, ...] = ()
    request_type: str | None = None  # of a body that is no JSON
    answer_type: str | None = None  # likewise
    idempotent: bool = False  # takes Idempotency-Key
    bearer: bool = False  # takes a token that the handler reads itself

    @cached_property
    def parameters(self) -> dict[str, Any]:
        return parameters_of(self.handler)

    @property
    def needs_token(self) -> bool:
        return self.bearer or "user_id" in self.parameters

    @cached_property
    def path_names(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    def route(self) -> Route:
        return Route(self.path, self._respond, methods=[self.method])

    async def _respond(self, request: Request) -> Response:
        return await self.handler(request, **await self._arguments(request))

    async def _arguments(self, request: Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        for name, kind in self.parameters.items():
            if name == "user_id":
                arguments[name] = await current_user(request)
            elif name == "body":
                arguments[name] = decode(await read_body(request), kind)
            elif name == "query":
                arguments[name] = convert(dict(request.query_params), kind)
            else:
                arguments[name] = path_value(request.path_params[name], kind)
        return arguments


class Problem(msgspec.Struct, omit_defaults=True):
    """What every error looks like. `details` says per field what is wrong."""

    error: str
    message: str
    details: dict[str, str] = {}


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


def json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Somebody's data: no cache keeps them for others, and nothing takes them for a page."""
    content = msgspec.json.encode(body)
    return Response(content, status, _PRIVATE | dict(headers or {}), "application/json")


def problem(error: AppError) -> Response:
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return json(Problem(error.code, error.message, error.details), error.status, headers)


def with_etag(request: Request, response: Response) -> Response:
    """304 if the client has it already."""
    etag = f'"{sha256(bytes(response.body)).hexdigest()[:32]}"'
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return response


async def read_body(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The whole body; 413 as soon as it is known to be too large."""
    return b"".join([chunk async for chunk in stream_body(request, limit)])


async def stream_body(request: Request, limit: int) -> AsyncIterator[bytes]:
    too_large = AppError("too large", f"the body may have {limit:,} bytes at most", 413)
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > limit:
        raise too_large
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large
        yield chunk


async def save_body(request: Request, path: Path, limit: int) -> str:
    """The whole body into a file, in constant memory; returns its SHA-256 in hexadecimal."""
    digest = sha256()
    with path.open("wb") as file:
        async for chunk in stream_body(request, limit):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def decode(body: bytes, kind: type[Any]) -> Any:
    if _NUL.search(body):
        raise AppError("invalid request", "text must not contain NUL characters")
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise explain(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AppError("invalid json", f"the body is not valid JSON: {error}") from None


def convert(fields: Mapping[str, Any], kind: type[T]) -> T:
    """The fields of a query string or a form as a type; their texts may stand for numbers."""
    if any("\0" in value for value in fields.values() if isinstance(value, str)):
        raise AppError("invalid request", "text must not contain NUL characters")
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise explain(error) from None


def explain(error: msgspec.ValidationError) -> AppError:
    """What msgspec found wrong, in words for people who do not know Python."""
    text = str(error)
    for pattern, says in ((_UNKNOWN, "is not a known field"), (_MISSING, "is required")):
        if found := pattern.search(text):
            return AppError.invalid(found[1], says)
    found = _FIELD.search(text)
    says = _in_words(text[: found.start()] if found else text)
    if found is None or not found[1]:
        return AppError("invalid request", f"the body {says}")
    return AppError.invalid(found[1], says)


def _in_words(text: str) -> str:
    if "RFC3339" in text or "timezone component" in text:
        return "must be a moment like 2024-01-15T06:30:00Z"
    text = text.replace("Expected ", "must be ").replace(", got ", ", not ")
    for name, words in _WORDS.items():
        text = text.replace(f"`{name}`", words)
    return text.replace(" of length >= ", " of at least ").replace(" of length <= ", " of at most ")


_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "datetime": "a moment",
}


def path_value(text: str, kind: type[Any]) -> Any:
    if kind is str:
        return text
    try:
        if kind is UUID:
            return UUID(text)
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**63:
        raise AppError.not_found("that")
    return value


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
    async with db.transaction(pool) as conn:
        fingerprint = sha256(request.url.path.encode() + msgspec.json.encode(body)).hexdigest()
        claim = {"user_id": user_id, "key": key, "fingerprint": fingerprint}
        if not await db.value(conn, _SQL["lock_key"], claim):
            raise AppError(
                "conflict", "a request with this key is still at work", 409, retry_after=1
            )
        earlier = await db.one(conn, _SQL["find_key"], claim, _Earlier)
        if earlier is not None:
            return _replay(earlier, fingerprint)
        response = await act(conn)
        await db.execute(conn, _SQL["keep_answer"], claim | _answer(response))
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


def cut(
    found: list[T], limit: int, place: Callable[[T], tuple[object, ...]]
) -> tuple[list[T], str | None]:
    """A page of what was found, for which one more was asked for, and the cursor of the next page
    if there is one. `place` says what the order goes by."""
    shown = found[:limit]
    return shown, encode_cursor(*place(shown[-1])) if len(found) > limit else None


def encode_cursor(*values: object) -> str:
    """Where the next page starts; opaque to clients."""
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def decode_cursor(cursor: str, kind: Any) -> Any:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=kind)
    except (ValueError, msgspec.MsgspecError):
        raise AppError.invalid("cursor", "is not one that we gave") from None


def form(body: bytes) -> dict[str, str]:
    """The fields of a page's form; the last one wins where a name repeats."""
    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
