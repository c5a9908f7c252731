"""The typed face of sql/schedules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from procrastinate.jobs import Job
from psycopg.types.json import Jsonb

from activelog import database
from activelog.database import Conn

_SQL = database.queries("schedules")


@dataclass(frozen=True)
class Tick:
    task_name: str
    periodic_id: str
    last_tick: int
    is_paused: bool


async def database_time(conn: Conn) -> int:
    """Seconds since 1970 by the database's clock, the one that all workers share."""
    return int(await database.value(conn, _SQL["database_time"], {}))


async def last_ticks(conn: Conn) -> dict[tuple[str, str], Tick]:
    ticks = await database.many(conn, _SQL["last_ticks"], {}, Tick)
    return {(tick.task_name, tick.periodic_id): tick for tick in ticks}


async def register(conn: Conn, job: Job, periodic_id: str, cron: str, tick: int) -> None:
    params = {
        "task_name": job.task_name,
        "periodic_id": periodic_id,
        "tick": tick,
        "cron": cron,
        "queue": job.queue,
        "lock": job.lock,
    }
    await database.execute(conn, _SQL["register"], params)


async def skip_tick(conn: Conn, task_name: str, periodic_id: str, tick: int) -> None:
    """As if it had become a job."""
    params = {"task_name": task_name, "periodic_id": periodic_id, "tick": tick}
    await database.execute(conn, _SQL["skip_tick"], params)


async def defer_tick(conn: Conn, job: Job, periodic_id: str, tick: int) -> int | None:
    """The job's id, or None when that tick or a later one already had its job. Raises
    UniqueViolation when its queueing lock is taken: the one before still waits."""
    params = {
        "task_name": job.task_name,
        "periodic_id": periodic_id,
        "tick": tick,
        "queue": job.queue,
        "priority": job.priority,
        "lock": job.lock,
        "queueing_lock": job.queueing_lock,
        "args": Jsonb(job.task_kwargs),
    }
    job_id: int | None = await database.value(conn, _SQL["defer_tick"], params)
    return job_id


async def start_run(conn: Conn, task_name: str, tick: datetime | None, job_id: int) -> int:
    """The run's id."""
    params = {"task_name": task_name, "tick": tick, "job_id": job_id}
    return int(await database.value(conn, _SQL["start_run"], params))


async def finish_run(
    conn: Conn, run_id: int, outcome: str, counts: Mapping[str, int], error: str | None
) -> None:
    params = {"id": run_id, "outcome": outcome, "counts": Jsonb(dict(counts)), "error": error}
    await database.execute(conn, _SQL["finish_run"], params)


async def forget_run(conn: Conn, run_id: int) -> None:
    await database.execute(conn, _SQL["forget_run"], {"id": run_id})
