"""Pages of a long list."""

import base64
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from activelog.base.errors import AppError

T = TypeVar("T")


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
