"""What comes in, as the types that handlers ask for; what does not fit is refused in words for
people who do not know Python."""

import re
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from starlette.requests import Request

from activelog.base.errors import AppError

BODY_LIMIT = 256 * 1024  # bytes of a JSON body

T = TypeVar("T")

_FIELD = re.compile(r" - at `\$\.?(.*?)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`")
_NUL = re.compile(rb"(?<!\\)(\\\\)*\\u0000")
_MISSING = re.compile(r"Object missing required field `(.*?)`")


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


def form(body: bytes) -> dict[str, str]:
    """The fields of a page's form; the last one wins where a name repeats."""
    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
