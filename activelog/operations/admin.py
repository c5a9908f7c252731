"""The face of sql/operations/admin.sql: what the jobs page reads and does."""

import re
from datetime import date, datetime, timedelta
from typing import Any, Literal, TypeVar
from uuid import UUID

from psycopg.types.json import Jsonb

from activelog import database
from activelog.base import logs
from activelog.base.addresses import findable
from activelog.base.date_ranges import parse_time_range
from activelog.base.errors import AppError
from activelog.database import Conn
from activelog.mail import MailKind
from activelog.operations.model import (
    WORKS,
    Action,
    Depth,
    Event,
    Failure,
    Group,
    Hindrances,
    Ids,
    Job,
    JobFilter,
    JobRow,
    MadeAdmin,
    Mail,
    MailFilter,
    Noted,
    PastWorker,
    Queue,
    Run,
    RunError,
    Schedule,
    Slot,
    SlowDomain,
    StateCount,
    Suppressed,
    Unit,
    Work,
    Worker,
)
from activelog.operations.troubles import Trouble

_SQL = database.queries("operations", "admin")
Numbered = TypeVar("Numbered", JobRow, Mail, Noted)

BULK = "bulk action"  # the kind of its ticket
_INDEXED = ("todo", "doing", "failed", "aborted", "cancelled")


async def queues(conn: Conn) -> list[Queue]:
    names = await _queue_names(conn)
    return await database.many(conn, _SQL["queues"], {"names": names}, Queue)


async def depths(conn: Conn) -> list[Depth]:
    names = await _queue_names(conn)
    return await database.many(conn, _SQL["depths"], {"names": names}, Depth)


async def _queue_names(conn: Conn) -> list[str]:
    cursor = await conn.execute(_SQL["queue_names"])
    return [name for (name,) in await cursor.fetchall()]


async def slots(conn: Conn, unit: Unit, since: datetime) -> list[Slot]:
    """From `since`, where a minute, an hour or a day begins, until now."""
    params = {"unit": unit, "length": timedelta(**{f"{unit}s": 1}), "since": since}
    return await database.many(conn, _SQL["slots"], params, Slot)


async def workers(conn: Conn) -> list[Worker]:
    return await database.many(conn, _SQL["workers"], {}, Worker)


async def failures(conn: Conn) -> list[Failure]:
    return await database.many(conn, _SQL["failures"], {}, Failure)


async def worker_history(conn: Conn) -> list[PastWorker]:
    """Of a week: those that are there, then the last ones that went."""
    return await database.many(conn, _SQL["worker_history"], {}, PastWorker)


async def known_names(conn: Conn) -> tuple[list[str], list[str]]:
    """Of queues and tasks, to choose from: those that anything was counted of."""
    found = await (await conn.execute(_SQL["known_names"])).fetchone()
    assert found is not None
    return found[0], found[1]


async def jobs(conn: Conn, wanted: JobFilter, limit: int) -> list[JobRow]:
    """Newest first. Raises QueryCanceled in a `database.searching` when too much is to be read."""
    ids = await came_within(conn, wanted)
    last = ids.last if wanted.before is None else min(ids.last, wanted.before)
    params = _what(wanted) | {"limit": limit, "first": ids.first, "last": last}
    if wanted.text or _has_no_index(wanted):
        cursor = await conn.execute(_SQL["search"], params)
    elif wanted.failure:
        cursor = await conn.execute(_SQL["with_failure"], params)
    else:
        cursor = await conn.execute(_SQL["in_state"], params)
    found = [job_id for (job_id,) in await cursor.fetchall()]
    return await database.many(conn, _SQL["jobs"], {"ids": found}, JobRow)


def _has_no_index(wanted: JobFilter) -> bool:
    """Then the words of jobs lead to those of a task or queue."""
    has_one = wanted.failure or wanted.row_status in _INDEXED
    return not has_one and bool(wanted.task or wanted.queue)


def cut(found: list[Numbered], limit: int) -> tuple[list[Numbered], int | None]:
    """A page of what was read with one more than `limit`, and the id before which the next one
    begins; None on the last page."""
    shown = found[:limit]
    return shown, shown[-1].id if len(found) > limit else None


async def state_counts(conn: Conn) -> list[StateCount]:
    return await database.many(conn, _SQL["state_counts"], {}, StateCount)


async def came_within(conn: Conn, wanted: JobFilter) -> Ids:
    times = parse_time_range(wanted.start_date, wanted.end_date)
    found = await database.one(conn, _SQL["ids"], times.params(), Ids)
    assert found is not None
    return found


async def job(conn: Conn, job_id: int) -> Job | None:
    return await database.one(conn, _SQL["job"], {"id": job_id}, Job)


async def hindrances(conn: Conn, job_id: int) -> Hindrances | None:
    return await database.one(conn, _SQL["hindrances"], {"id": job_id}, Hindrances)


async def events(conn: Conn, job_id: int) -> list[Event]:
    return await database.many(conn, _SQL["events"], {"id": job_id}, Event)


async def errors(conn: Conn, job_id: int) -> list[RunError]:
    return await database.many(conn, _SQL["errors"], {"id": job_id}, RunError)


async def act(conn: Conn, action: Action, ids: list[int]) -> list[int]:
    """The jobs that it was right for."""
    statements = {
        "retry": _SQL["retry"],
        "run_now": _SQL["run_now"],
        "cancel": _SQL["cancel"],
        "delete": _SQL["delete"],
    }
    cursor = await conn.execute(statements[action], {"ids": ids})
    return sorted(job_id for (job_id,) in await cursor.fetchall() if job_id is not None)


async def run_again(conn: Conn, job_id: int, args: dict[str, Any]) -> int | None:
    """The id of a new job, which is like that one but for its arguments. Raises UniqueViolation
    when another one with its queueing lock waits."""
    params = {"id": job_id, "args": Jsonb(args)}
    found: int | None = await database.value(conn, _SQL["run_again"], params)
    return found


async def matching(conn: Conn, wanted: JobFilter, after: int, until: int, limit: int) -> list[int]:
    params = _what(wanted) | {"after": after, "until": until, "limit": limit}
    found: list[int] = await database.value(conn, _SQL["matching"], params)
    return found


async def count_matching(conn: Conn, wanted: JobFilter, most: int = 100_000) -> int:
    """Up to `most`."""
    ids = await came_within(conn, wanted)
    params = _what(wanted) | {"first": ids.first, "last": ids.last, "most": most}
    return int(await database.value(conn, _SQL["count_matching"], params))


async def defer_bulk(conn: Conn, ticket_id: UUID, user_id: int, args: dict[str, Any]) -> None:
    args |= logs.origin()
    params = {"id": ticket_id, "user_id": user_id, "kind": BULK, "args": Jsonb(args)}
    await database.execute(conn, _SQL["defer_bulk"], params)


async def switch(conn: Conn, queue: str, action: Literal["pause", "resume"]) -> None:
    """Raises AppError for a queue that nobody knows, and for one that is to be resumed and is not
    paused."""
    if action == "pause":
        await _check_queue(conn, queue)
        await database.execute(conn, _SQL["pause"], {"queue": queue})
    elif await database.execute(conn, _SQL["resume"], {"queue": queue}) == 0:
        raise AppError("not found", f"the queue {queue} is not paused", 404)


async def _check_queue(conn: Conn, queue: str) -> None:
    if not await database.value(conn, _SQL["is_known_queue"], {"queue": queue}):
        message = f"no job ever came to the queue {queue}, and no worker names it"
        raise AppError("not found", message, 404)


async def limit(conn: Conn, queue: str, running: int | None) -> None:
    """How many of its jobs may run at once; None: any number. Raises AppError for a queue that
    nobody knows."""
    await _check_queue(conn, queue)
    if running is None:
        await database.execute(conn, _SQL["lift_limit"], {"queue": queue})
    else:
        await database.execute(conn, _SQL["limit"], {"queue": queue, "running": running})


async def limit_group(conn: Conn, work: Work, running: int | None) -> None:
    """How many of one person run at once; None: as usual."""
    async with conn.transaction():
        if running is None:
            await database.execute(conn, _SQL["lift_group_limit"], {"work": work})
        else:
            await database.execute(conn, _SQL["group_limit"], {"work": work, "running": running})
        await database.execute(conn, _SQL["admit_groups"], {"work": work})


async def group_limits(conn: Conn) -> list[Group]:
    return await database.many(conn, _SQL["group_limits"], {"works": list(WORKS)}, Group)


async def schedules(conn: Conn) -> list[Schedule]:
    return await database.many(conn, _SQL["schedules"], {}, Schedule)


async def runs(conn: Conn) -> list[Run]:
    return await database.many(conn, _SQL["runs"], {}, Run)


async def mails(conn: Conn, wanted: MailFilter, limit: int) -> list[Mail]:
    params = {
        "state": wanted.state,
        "kind": wanted.kind,
        "user_id": await _person(conn, wanted.person) if wanted.person else None,
        "said": f"%{_literally(wanted.said)}%" if wanted.said else None,
        "before": wanted.before,
        "limit": limit,
    }
    return await database.many(conn, _SQL["mails"], params, Mail)


async def _person(conn: Conn, said: str) -> int:
    number = int(said) if said.isdecimal() and len(said) < 19 else None
    params = {"id": number, "address": findable(said)}
    return int(await database.value(conn, _SQL["person"], params))


async def slow_domains(conn: Conn) -> list[SlowDomain]:
    return await database.many(conn, _SQL["slow_domains"], {}, SlowDomain)


async def mail_kind(conn: Conn, mail_id: int) -> str | None:
    found: str | None = await database.value(conn, _SQL["mail_kind"], {"id": mail_id})
    return found


async def send_again(conn: Conn, mail_id: int, kind: MailKind) -> bool:
    """False for a mail that is on its way."""
    params = {
        "id": mail_id,
        "kind": kind.name,
        "task": kind.task,
        "queue": kind.queue,
        "key": kind.key,
    }
    return await database.value(conn, _SQL["send_again"], params) is not None


async def troubles(conn: Conn) -> list[Trouble]:
    """What is wrong now, the worst first."""
    return await database.many(conn, _SQL["troubles"], {}, Trouble)


async def suppressed(conn: Conn) -> list[Suppressed]:
    """The newest."""
    return await database.many(conn, _SQL["suppressed"], {}, Suppressed)


async def audit(conn: Conn, before: int | None, limit: int) -> list[Noted]:
    """Newest first."""
    params = {"before": 2**63 - 1 if before is None else before, "limit": limit}
    return await database.many(conn, _SQL["audit"], params, Noted)


async def make_admin(conn: Conn, email: str, wanted: bool) -> MadeAdmin | None:
    """Or takes it back. None when nobody has the address."""
    params = {"email": email, "wanted": wanted}
    return await database.one(conn, _SQL["make_admin"], params, MadeAdmin)


async def note(conn: Conn, user_id: int | None, action: str, subject: str) -> None:
    params = {"user_id": user_id, "action": action, "subject": subject}
    await database.execute(conn, _SQL["note"], params)


async def run_schedule(conn: Conn, task: str, day: date | None) -> bool:
    """False for a task that is no schedule."""
    args = {} if day is None else {"day": day.isoformat()}
    params = {"task": task, "args": Jsonb(args)}
    return await database.value(conn, _SQL["run_schedule"], params) is not None


async def pause_schedule(conn: Conn, task: str) -> bool:
    """False for a task that is no schedule."""
    return await database.execute(conn, _SQL["pause_schedule"], {"task": task}) > 0


async def resume_schedule(conn: Conn, task: str) -> bool:
    """False for one that is not paused."""
    return await database.execute(conn, _SQL["resume_schedule"], {"task": task}) > 0


def _what(wanted: JobFilter) -> dict[str, Any]:
    """Of the text all `parts` must be there; `words` are what their blocks are found by."""
    text = wanted.text or ""
    words = re.findall(r"[^\W_]+", text.lower())
    return wanted.what() | {
        "status": wanted.row_status,
        "situation": wanted.situation,
        "prefixes": " & ".join(f"{word}:*" for word in words),
        "number": int(text) if text.isdecimal() and len(text) < 19 else None,
        "parts": [f"%{_literally(part)}%" for part in text.split()],
        "words": [word[:100] for word in words] + [*filter(None, (wanted.task, wanted.queue))],
    }


def _literally(part: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", part)
