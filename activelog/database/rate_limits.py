"""So many in a window of time, counted in Postgres for all processes together."""

import hashlib
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass

from activelog import database
from activelog.base.errors import AppError
from activelog.database import Conn

_SQL = database.queries("database")


@dataclass(frozen=True)
class RateLimit:
    """`count` times in `seconds`, for each subject. `is_told`: whether the RateLimit headers
    show what is left. False where strangers share the limit: the number would reveal what they did.
    """

    name: str
    count: int
    seconds: int
    is_told: bool = True


@dataclass(frozen=True)
class _Taken:
    hits: int
    seconds_left: int


# What a request has taken, by the limit's name: how many are left, and for how many seconds.
Taken = dict[str, tuple[RateLimit, int, int]]
_taken: ContextVar[Taken | None] = ContextVar("taken", default=None)


def watch() -> Taken:
    """Of this request, from now on."""
    taken: Taken = {}
    _taken.set(taken)
    return taken


def headers(taken: Taken) -> list[tuple[bytes, bytes]]:
    """As draft-ietf-httpapi-ratelimit-headers has them."""
    if not taken:
        return []
    policies = [
        f'"{limit.name}";q={limit.count};w={limit.seconds}' for limit, _, _ in taken.values()
    ]
    states = [f'"{limit.name}";r={left};t={seconds}' for limit, left, seconds in taken.values()]
    return [
        (b"ratelimit-policy", ", ".join(policies).encode()),
        (b"ratelimit", ", ".join(states).encode()),
    ]


async def take(conn: Conn, limit: RateLimit, subject: str) -> None:
    """Counts one; raises 429 with Retry-After when it is one too many.

    `subject` may be an address: only a hash of it is stored.
    """
    params = {"key": _key(limit, subject), "seconds": limit.seconds}
    taken = await database.one(conn, _SQL["take"], params, _Taken)
    if taken is not None:
        _note(limit, taken)
    if taken is not None and taken.hits > limit.count:
        raise AppError(
            "too many requests",
            f"that was tried too often; try again in {taken.seconds_left} s",
            429,
            retry_after=taken.seconds_left,
        )


async def give_back(conn: Conn, taken: Iterable[tuple[RateLimit, str]]) -> None:
    """They do not count after all."""
    taken = list(taken)
    keys = [_key(limit, subject) for limit, subject in taken]
    await database.execute(conn, _SQL["give_back"], {"keys": keys})
    noted = _taken.get() or {}
    for limit, _ in taken:
        noted.pop(limit.name, None)


def _note(limit: RateLimit, taken: _Taken) -> None:
    noted = _taken.get()
    if noted is not None and limit.is_told:
        left = max(0, limit.count - taken.hits)
        noted[limit.name] = (limit, left, taken.seconds_left)


def _key(limit: RateLimit, subject: str) -> str:
    return f"{limit.name}:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"
