from dataclasses import dataclass
from datetime import datetime

from activelog import database
from activelog.database import Conn
from activelog.operations.troubles import PostgresSession, Trouble

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
class MailHealth:
    """`oldest`: seconds since the oldest mail that waits was written; how many addresses are
    `suppressed`; whether the relay refuses most mails."""

    oldest: float
    suppressed: int
    most_refused: bool


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
    """`migrations`: the ledger, checksums by name."""

    migrations: dict[str, str]
    has_worker: bool
    may_write: bool


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


async def mail_health(conn: Conn) -> MailHealth:
    found = await database.one(conn, _SQL["mail_health"], {}, MailHealth)
    assert found is not None
    return found


async def in_the_way(conn: Conn) -> list[Trouble]:
    """Sessions that hold others up, the worst first. It reads no table, so no lock keeps it."""
    return [
        session.trouble()
        for session in await database.many(conn, _SQL["in_the_way"], {}, PostgresSession)
    ]


async def oldest_transaction(conn: Conn) -> float:
    """Seconds."""
    return float(await database.value(conn, _SQL["oldest_transaction"], {}))


async def ready(conn: Conn) -> Readiness:
    found = await database.one(conn, _SQL["ready"], {}, Readiness)
    assert found is not None
    return found


async def clock(conn: Conn) -> datetime:
    """The database's."""
    found: datetime = await database.value(conn, _SQL["clock"], {})
    return found


async def note_depths(conn: Conn) -> None:
    """For charts: how full the queues are now, if that is more than was seen lately."""
    await database.execute(conn, _SQL["note_depths"], {})


async def fold_counts(conn: Conn) -> None:
    """Adds up what workers appended, what was enqueued, and what failed."""
    await database.execute(conn, _SQL["fold_counts"], {})


async def newest_job(conn: Conn) -> int:
    return int(await database.value(conn, _SQL["newest_job"], {}))


async def note_words(conn: Conn, until: int) -> bool:
    """Makes some more jobs with ids below `until` findable by their words. False: none are left."""
    return await database.value(conn, _SQL["note_words"], {"until": until}) is not None


async def notify(conn: Conn, channel: str, payload: str) -> None:
    await database.execute(conn, _SQL["notify"], {"channel": channel, "payload": payload})


@dataclass(frozen=True)
class Connections:
    """Of the whole server; `most` are those that are not kept for superusers."""

    used: int
    most: int


async def connections(conn: Conn) -> Connections:
    found = await database.one(conn, _SQL["connections"], {}, Connections)
    assert found is not None
    return found
