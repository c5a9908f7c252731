from dataclasses import dataclass
from datetime import datetime

from activelog import database
from activelog.database import Conn

_SQL = database.queries("operations")


@dataclass(frozen=True)
class Runs:
    """`event`: enqueued, or how runs ended. Seconds are those of all together."""

    task: str
    queue: str
    event: str
    count: int
    seconds: float
    waited: float


@dataclass(frozen=True)
class Bucket:
    task: str
    queue: str
    place: int  # from 1
    seconds: int
    waited: int


@dataclass(frozen=True)
class Running:
    task: str
    queue: str
    count: int


@dataclass(frozen=True)
class ScheduleHealth:
    task: str
    last_success: datetime | None
    failures: int  # since then


@dataclass(frozen=True)
class Mails:
    kind: str
    outcome: str
    count: int


@dataclass(frozen=True)
class Exports:
    """`outcome`: requested, completed, failed, cancelled, expired."""

    format: str
    outcome: str
    count: int


@dataclass(frozen=True)
class Size:
    table: str
    bytes: int


@dataclass(frozen=True)
class Readiness:
    migrations: int
    has_worker: bool


async def runs(conn: Conn) -> list[Runs]:
    return await database.many(conn, _SQL["runs"], {}, Runs)


async def buckets(conn: Conn) -> list[Bucket]:
    return await database.many(conn, _SQL["buckets"], {}, Bucket)


async def workers(conn: Conn) -> int:
    return int(await database.value(conn, _SQL["workers"], {}))


async def running(conn: Conn) -> list[Running]:
    return await database.many(conn, _SQL["running"], {}, Running)


async def schedules(conn: Conn) -> list[ScheduleHealth]:
    return await database.many(conn, _SQL["schedules"], {}, ScheduleHealth)


async def exports(conn: Conn) -> list[Exports]:
    return await database.many(conn, _SQL["exports"], {}, Exports)


async def sizes(conn: Conn) -> list[Size]:
    return await database.many(conn, _SQL["sizes"], {}, Size)


async def mails(conn: Conn) -> list[Mails]:
    return await database.many(conn, _SQL["mails"], {}, Mails)


async def oldest_mail(conn: Conn) -> float | None:
    """Seconds since the oldest mail that waits was written."""
    found: float | None = await database.value(conn, _SQL["oldest_mail"], {})
    return found


async def ready(conn: Conn) -> Readiness:
    found = await database.one(conn, _SQL["ready"], {}, Readiness)
    assert found is not None
    return found


async def clock(conn: Conn) -> datetime:
    """The database's."""
    found: datetime = await database.value(conn, _SQL["clock"], {})
    return found
