"""The face of sql/queries/admin.sql: what the jobs page reads and does."""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from activelog import db, logs
from activelog.db import Conn
from activelog.monitoring.model import (
    Action,
    Event,
    Failure,
    Ids,
    Job,
    JobError,
    JobFilter,
    JobRow,
    Mail,
    Noted,
    Queue,
    Run,
    Schedule,
    Slot,
    Worker,
)
from activelog.period import parse_period
from activelog.queue.store import queue_names

_SQL = db.queries("admin")
_INDEXED = ("doing", "failed", "aborted", "cancelled")
_WINDOW = 200_000  # jobs that a page looks through without an index


async def queues(conn: Conn) -> list[Queue]:
    names = {"critical", "default", "low", *await queue_names(conn)}
    return await db.many(conn, _SQL["queues"], {"names": sorted(names)}, Queue)


async def slots(conn: Conn, unit: Literal["hour", "day"], since: datetime) -> list[Slot]:
    """From `since`, where an hour or a day begins, until now."""
    params = {"unit": unit, "length": timedelta(**{f"{unit}s": 1}), "since": since}
    return await db.many(conn, _SQL["slots"], params, Slot)


async def workers(conn: Conn) -> list[Worker]:
    return await db.many(conn, _SQL["workers"], {}, Worker)


async def failures(conn: Conn) -> list[Failure]:
    return await db.many(conn, _SQL["failures"], {}, Failure)


async def jobs(conn: Conn, wanted: JobFilter, limit: int) -> list[JobRow]:
    ids = await came_within(conn, wanted)
    last = min(ids.last, ids.last if wanted.before is None else wanted.before)
    first = ids.first if wanted.status in _INDEXED else max(ids.first, last - _WINDOW)
    params = wanted.what() | {"limit": limit, "first": first, "last": last}
    searches = wanted.text is not None
    return await db.many(conn, _SQL["search" if searches else "jobs"], params, JobRow)


async def came_within(conn: Conn, wanted: JobFilter) -> Ids:
    period = parse_period(wanted.start_date, wanted.end_date)
    found = await db.one(conn, _SQL["ids"], period.params(), Ids)
    assert found is not None
    return found


async def job(conn: Conn, job_id: int) -> Job | None:
    return await db.one(conn, _SQL["job"], {"id": job_id}, Job)


async def events(conn: Conn, job_id: int) -> list[Event]:
    return await db.many(conn, _SQL["events"], {"id": job_id}, Event)


async def errors(conn: Conn, job_id: int) -> list[JobError]:
    return await db.many(conn, _SQL["errors"], {"id": job_id}, JobError)


async def act(conn: Conn, action: Action, ids: list[int]) -> int:
    """How many jobs it was right for."""
    params = {"ids": ids}
    if action == "cancel":
        return int(await db.value(conn, _SQL["cancel"], params))
    statements = {"retry": _SQL["retry"], "run_now": _SQL["run_now"], "delete": _SQL["delete"]}
    return await db.execute(conn, statements[action], params)


async def matching(conn: Conn, wanted: JobFilter, after: int, until: int, limit: int) -> list[int]:
    params = wanted.what() | {"after": after, "until": until, "limit": limit}
    found: list[int] = await db.value(conn, _SQL["matching"], params)
    return found


async def count_matching(conn: Conn, wanted: JobFilter) -> int:
    """Up to 100,000."""
    ids = await came_within(conn, wanted)
    params = wanted.what() | {"first": ids.first, "last": ids.last}
    return int(await db.value(conn, _SQL["count_matching"], params))


async def defer_bulk(conn: Conn, ticket_id: UUID, user_id: int, args: dict[str, Any]) -> None:
    params = {"id": ticket_id, "user_id": user_id, "args": Jsonb(args | logs.origin())}
    await db.execute(conn, _SQL["defer_bulk"], params)


async def pause(conn: Conn, queue: str) -> None:
    await db.execute(conn, _SQL["pause"], {"queue": queue})


async def resume(conn: Conn, queue: str) -> None:
    await db.execute(conn, _SQL["resume"], {"queue": queue})


async def schedules(conn: Conn) -> list[Schedule]:
    return await db.many(conn, _SQL["schedules"], {}, Schedule)


async def runs(conn: Conn) -> list[Run]:
    return await db.many(conn, _SQL["runs"], {}, Run)


async def mails(conn: Conn, state: str | None, before: int | None, limit: int) -> list[Mail]:
    params = {"state": state, "before": before, "limit": limit}
    return await db.many(conn, _SQL["mails"], params, Mail)


async def audit(conn: Conn) -> list[Noted]:
    return await db.many(conn, _SQL["audit"], {}, Noted)


async def note(conn: Conn, user_id: int, action: str, subject: str) -> None:
    params = {"user_id": user_id, "action": action, "subject": subject}
    await db.execute(conn, _SQL["note"], params)


async def run_schedule(conn: Conn, task: str) -> bool:
    """False for a task that is no schedule."""
    return await db.value(conn, _SQL["run_schedule"], {"task": task}) is not None
