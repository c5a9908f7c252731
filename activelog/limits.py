"""So many in a window of time, counted in Postgres for all processes together."""

import hashlib
from dataclasses import dataclass

from activelog import db
from activelog.db import Conn
from activelog.errors import AppError

_SQL = db.queries("limits")


@dataclass(frozen=True)
class Limit:
    """`count` times in `seconds`, for each subject."""

    name: str
    count: int
    seconds: int


@dataclass(frozen=True)
class _Taken:
    hits: int
    seconds_left: int


async def take(conn: Conn, limit: Limit, subject: str) -> None:
    """Counts one; raises 429 with Retry-After when it is one too many.

    `subject` may be an address: only a hash of it is stored.
    """
    digest = hashlib.sha256(subject.encode()).hexdigest()[:32]
    params = {"key": f"{limit.name}:{digest}", "seconds": limit.seconds}
    taken = await db.one(conn, _SQL["take"], params, _Taken)
    if taken is not None and taken.hits > limit.count:
        raise AppError(
            "too many requests",
            f"that was tried too often; try again in {taken.seconds_left} s",
            429,
            retry_after=taken.seconds_left,
        )
