"""So many in a window of time, counted in Postgres for all processes together."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from activelog import database
from activelog.base.errors import AppError
from activelog.database import Conn

_SQL = database.queries("database")


@dataclass(frozen=True)
class RateLimit:
    """`count` times in `seconds`, for each subject."""

    name: str
    count: int
    seconds: int


@dataclass(frozen=True)
class _Taken:
    hits: int
    seconds_left: int


async def take(conn: Conn, limit: RateLimit, subject: str) -> None:
    """Counts one; raises 429 with Retry-After when it is one too many.

    `subject` may be an address: only a hash of it is stored.
    """
    params = {"key": _key(limit, subject), "seconds": limit.seconds}
    taken = await database.one(conn, _SQL["take"], params, _Taken)
    if taken is not None and taken.hits > limit.count:
        raise AppError(
            "too many requests",
            f"that was tried too often; try again in {taken.seconds_left} s",
            429,
            retry_after=taken.seconds_left,
        )


async def give_back(conn: Conn, taken: Iterable[tuple[RateLimit, str]]) -> None:
    """They do not count after all."""
    keys = [_key(limit, subject) for limit, subject in taken]
    await database.execute(conn, _SQL["give_back"], {"keys": keys})


def _key(limit: RateLimit, subject: str) -> str:
    return f"{limit.name}:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"
