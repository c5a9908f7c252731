"""What comes in, as the types that handlers ask for; what does not fit is refused in words for
people who do not know Python."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from starlette.requests import ClientDisconnect, Request

from activelog.base.errors import AppError

BODY_LIMIT = 256 * 1024  # bytes of a JSON body

_PATIENCE = 20.0  # seconds without a byte
_SMALL = 4096  # bytes of a body
_SLOWEST = 4096  # bytes a second, on average after that time
_BEGINNING = 512  # bytes by which a kind of file is known
_LOOKED_EVERY = 0.5  # seconds between looks whether the client is there
_TOO_SLOW = AppError("too slow", "the body came too slowly; send it again", 408)

T = TypeVar("T")

_FIELD = re.compile(r" - at `\$\.?(.*?)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`")
_NUL = re.compile(rb"(?<!\\)(\\\\)*\\u0000")
_MISSING = re.compile(r"Object missing required field `(.*?)`")


async def read_body(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The whole body; 413 as soon as it is known to be too large."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) <= _SMALL:  # one time limit is enough, and costs less
        try:
            async with asyncio.timeout(_PATIENCE):
                return await request.body()
        except TimeoutError:
            raise _TOO_SLOW from None
    return b"".join([chunk async for chunk in stream_body(request, limit)])


async def stream_body(request: Request, limit: int) -> AsyncIterator[bytes]:
    """413 for more than `limit` bytes; 408 when the client stops sending, or sends so slowly that
    the whole would take hours."""
    too_large = AppError("too large", f"the body may have {limit:,} bytes at most", 413)
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > limit:
        raise too_large
    size, began = 0, time.monotonic()
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout(_PATIENCE):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise _TOO_SLOW from None
        if chunk is None:
            return
        size += len(chunk)
        if size > limit:
            raise too_large
        if size < (time.monotonic() - began - _PATIENCE) * _SLOWEST:
            raise _TOO_SLOW
        yield chunk


async def save_body(
    request: Request, path: Path, limit: int, check: Callable[[bytes], None] | None = None
) -> str:
    """The whole body into a file, in constant memory; returns its SHA-256 in hexadecimal. `check`
    looks at its beginning, and raises when the rest is not worth taking in."""
    digest, beginning = sha256(), b""
    with path.open("wb") as file:
        async for chunk in stream_body(request, limit):
            if check and len(beginning) < _BEGINNING:
                beginning += chunk[:_BEGINNING]
                if len(beginning) >= _BEGINNING:
                    check(beginning)
            digest.update(chunk)
            file.write(chunk)
    if check and len(beginning) < _BEGINNING:
        check(beginning)
    return digest.hexdigest()


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """What the work gives; it is cancelled when the client hangs up, and nobody waits for it."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_LOOKED_EVERY)
            if not task.done() and await request.is_disconnected():
                raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()


def decode(body: bytes, kind: type[Any]) -> Any:
    if _NUL.search(body):
        raise AppError("invalid request", "text must not contain NUL characters")
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise explain(error, kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AppError("invalid json", f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise AppError("invalid json", "the body is nested too deeply") from None


def convert(fields: Mapping[str, Any], kind: type[T]) -> T:
    """The fields of a query string or a form as a type; their texts may stand for numbers."""
    if any("\0" in value for value in fields.values() if isinstance(value, str)):
        raise AppError("invalid request", "text must not contain NUL characters")
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise explain(error, kind) from None


def explain(error: msgspec.ValidationError, kind: type[Any] | None = None) -> AppError:
    """What msgspec found wrong with a `kind`, in words for people who do not know Python."""
    text = str(error)
    for pattern, says in ((_UNKNOWN, "is not a known field"), (_MISSING, "is required")):
        if found := pattern.search(text):
            return AppError.invalid(found[1], says)
    found = _FIELD.search(text)
    says = _in_words(text[: found.start()] if found else text)
    if found and "enum value" in text and (choices := _choices(kind, found[1])):
        says = f"must be one of {', '.join(choices)}, not {says.rpartition('value ')[2]}"
    if found is None or not found[1]:
        return AppError("invalid request", f"the body {says}")
    return AppError.invalid(found[1], says)


def _in_words(text: str) -> str:
    if "encoded date" in text and "encoded datetime" not in text:
        return "must be a day like 2024-01-15"
    if "RFC3339" in text or "timezone component" in text:
        return "must be a moment like 2024-01-15T06:30:00Z"
    text = text.replace("Expected ", "must be ").replace(", got ", ", not ")
    text = re.sub(r"`([^`]+)`", lambda found: _kinds(found[1]), text)
    return text.replace(" of length >= ", " of at least ").replace(" of length <= ", " of at most ")


def _choices(kind: type[Any] | None, field: str) -> list[str]:
    """What a field may be, or an item of its list, where these are a few words."""
    described = None if kind is None else msgspec.inspect.type_info(kind)
    if not isinstance(described, msgspec.inspect.StructType):
        return []
    name = field.partition("[")[0]
    found = [one.type for one in described.fields if one.encode_name == name]
    choices: list[str] = []
    while found:
        one: Any = found.pop()
        choices += map(str, getattr(one, "values", ()))
        found += getattr(one, "types", ())
        found += [getattr(one, part) for part in ("type", "item_type") if hasattr(one, part)]
    return choices


def _kinds(names: str) -> str:
    """Of `int | null`."""
    found = [_WORDS.get(name, f"`{name}`") for name in names.split(" | ")]
    return " or ".join(found)


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


def form(body: bytes) -> dict[str, str]:
    """The fields of a page's form; the last one wins where a name repeats."""
    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
