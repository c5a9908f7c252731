"""The worker's face of sql/queries/queue.sql."""

import os
import socket
import traceback
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from procrastinate.jobs import Job
from psycopg.types.json import Jsonb

from activelog import db
from activelog.db import Conn
from activelog.errors import JobError
from activelog.queue.counts import SLOTS
from activelog.queue.end import Claimed, End, words_of
from activelog.queue.fronts import Place

_SQL = db.queries("queue")
_ERROR_LENGTH = 2_000
_TRACEBACK_LENGTH = 20_000


@dataclass(frozen=True)
class Rescued:
    job_id: int
    task_name: str
    failed: bool


@dataclass(frozen=True)
class Tick:
    task_name: str
    periodic_id: str
    last_tick: int


async def register_worker(
    conn: Conn, slots: int, queues: Collection[str] | None, tasks: list[str]
) -> int:
    """Says that this process works. `queues` None: all."""
    params = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "slots": slots,
        "queues": None if queues is None else list(queues),
        "tasks": tasks,
    }
    return int(await db.value(conn, _SQL["register_worker"], params))


async def unregister_worker(conn: Conn, worker_id: int) -> None:
    await db.execute(conn, _SQL["unregister_worker"], {"worker_id": worker_id})


async def mark_busy(conn: Conn, worker_id: int, *, busy: bool) -> None:
    """While a worker is busy, new jobs do not wake it. Raises ForeignKeyViolation when the worker
    was taken for dead."""
    await db.execute(conn, _SQL["mark_busy" if busy else "mark_free"], {"worker_id": worker_id})


async def queue_names(conn: Conn) -> list[str]:
    cursor = await conn.execute(_SQL["queue_names"])
    return [name for (name,) in await cursor.fetchall()]


async def note_depths(conn: Conn) -> None:
    """For charts: how full the queues are now, once in five minutes whoever asks."""
    await db.execute(conn, _SQL["note_depths"], {"queues": await queue_names(conn)})


async def newest_job(conn: Conn) -> int:
    return int(await db.value(conn, _SQL["newest_job"], {}))


async def note_words(conn: Conn, until: int) -> bool:
    """Makes some more jobs with ids below `until` findable by their words. False: none are left."""
    return await db.value(conn, _SQL["note_words"], {"until": until}) is not None


async def turn(
    conn: Conn,
    *,
    worker_id: int,
    ends: Collection[End],
    counts: Mapping[str, Any] | None,
    slots: int,
    tasks: list[str],
    passes: Mapping[str, float],
    weights: list[float],
    fronts: Collection[Place],
) -> tuple[set[int], list[Claimed]]:
    """Writes `ends` and `counts` and claims up to `slots` jobs, in one transaction and one round
    trip.

    Returns the ids of the ends that were written (the others were taken over) and the jobs.
    """
    async with conn.cursor() as claimed, conn.cursor() as finished:
        async with conn.pipeline():
            if any(end.error is not None for end in ends):
                await conn.execute(_SQL["record_errors"], _error_params(ends))
            if ends:
                await finished.execute(_SQL["finish"], _finish_params(ends))
            if counts:
                await conn.execute(_SQL["count"], {"slot": worker_id % SLOTS, **counts})
            if slots:
                params = _claim_params(worker_id, slots, tasks, passes, weights, fronts)
                await claimed.execute(_SQL["claim"], params)
            if locks := list({end.job.lock for end in ends if end.job.lock is not None}):
                params = {"worker_id": worker_id, "locks": locks}
                await conn.execute(_SQL["notify_locks"], params)
        # Not before: who asks for an answer within the pipeline sends the commit with another trip.
        written = {row[0] for row in await finished.fetchall()} if ends else set()
        jobs = [_claimed(row) for row in await claimed.fetchall()] if slots else []
    return written, jobs


def _claim_params(
    worker_id: int,
    slots: int,
    tasks: list[str],
    passes: Mapping[str, float],
    weights: list[float],
    fronts: Collection[Place],
) -> dict[str, Any]:
    return {
        "worker_id": worker_id,
        "slots": slots,
        "tasks": tasks,
        "queues": list(passes),
        "weights": weights,
        "passes": list(passes.values()),
        "first_priorities": db.array(priority for priority, _ in fronts),
        "first_ids": db.array(job_id for _, job_id in fronts),
    }


def _claimed(row: tuple[Any, ...]) -> Claimed:
    (job_id, task, priority, lock, queueing_lock, args, scheduled_at, queue, attempts,
     abort_requested, worker_id, waited) = row  # fmt: skip
    job = Job(
        id=job_id,
        status="doing",
        queue=queue,
        priority=priority,
        lock=lock,
        queueing_lock=queueing_lock,
        task_name=task,
        task_kwargs=_arguments(args),
        scheduled_at=scheduled_at,
        attempts=attempts,
        abort_requested=abort_requested,
        worker_id=worker_id,
    )
    return Claimed(job, waited or 0.0)


def _arguments(text: str) -> dict[str, Any]:
    """Those that are no object, or have numbers that Python does not read, as people's SQL may
    write them, become an object that no task takes."""
    try:
        found = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return {"args": text}
    return found if isinstance(found, dict) else {"args": found}


def _finish_params(ends: Collection[End]) -> dict[str, Any]:
    return {
        "ids": db.array(end.job.id for end in ends),
        "workers": db.array(end.job.worker_id for end in ends),
        "statuses": db.array(end.status for end in ends),
        "spent": db.array(end.spent for end in ends),
        "retry_at": db.array(end.retry_at and f'"{end.retry_at}"' for end in ends),
    }


def _error_params(all_ends: Collection[End]) -> dict[str, Any]:
    ends = [end for end in all_ends if end.error is not None]
    errors = [end.error for end in ends if end.error is not None]
    return {
        "job_ids": [end.job.id for end in ends],
        "workers": [end.job.worker_id for end in ends],
        "attempts": [end.job.attempts + 1 for end in ends],
        "errors": [
            _text(f"{type(error).__name__}: {words_of(error)}", _ERROR_LENGTH) for error in errors
        ],
        "public_errors": [
            _text(words_of(error), _ERROR_LENGTH) if isinstance(error, JobError) else None
            for error in errors
        ],
        "tracebacks": [
            _text(
                "".join(traceback.format_exception(error))[-_TRACEBACK_LENGTH:], _TRACEBACK_LENGTH
            )
            for error in errors
        ],
    }


def _text(text: str, length: int) -> str:
    # Postgres refuses NUL, and a lone surrogate cannot be sent at all.
    return text[:length].replace("\0", "�").encode(errors="replace").decode()


async def release_unseen(conn: Conn, worker_id: int, known: list[int]) -> None:
    await db.execute(conn, _SQL["release_unseen"], {"worker_id": worker_id, "known": known})


async def abort_requests(conn: Conn, ids: list[int]) -> list[int]:
    cursor = await conn.execute(_SQL["abort_requests"], {"ids": ids})
    return [job_id for (job_id,) in await cursor.fetchall()]


async def is_registered(conn: Conn, worker_id: int) -> bool:
    """False when somebody took the worker for dead."""
    return bool(await db.value(conn, _SQL["is_registered"], {"worker_id": worker_id}))


async def rescue(
    conn: Conn, worker_id: int, silence: float, stock_silence: float, deaths: int
) -> list[Rescued]:
    """Puts jobs of workers without a heartbeat for `silence` seconds (of the engine's own: for
    `stock_silence`) back in line, if this worker's own is fresh. Raises UniqueViolation when a job
    with the queueing lock of one of them came at the same moment."""
    params = {
        "worker_id": worker_id,
        "silence": f"{silence} seconds",
        "stock_silence": f"{stock_silence} seconds",
        "deaths": deaths,
    }
    rescued = await db.many(conn, _SQL["rescue"], params, Rescued)
    await db.execute(conn, _SQL["remove_dead_workers"], params)
    return rescued


async def seconds_until_ready(
    conn: Conn, queues: Collection[str], tasks: list[str]
) -> float | None:
    """How long until a job of these can start; 0 or less when one can now, None when none waits."""
    params = {"queues": list(queues), "tasks": tasks}
    seconds: float | None = await db.value(conn, _SQL["seconds_until_ready"], params)
    return seconds


async def unknown_task(conn: Conn, queues: Collection[str] | None, tasks: list[str]) -> str | None:
    """A task that is not among `tasks`, of jobs at the front of these queues (None: of any)."""
    names = await queue_names(conn) if queues is None else list(queues)
    params = {"queues": names, "tasks": tasks}
    name: str | None = await db.value(conn, _SQL["unknown_task"], params)
    return name


async def database_time(conn: Conn) -> int:
    """Seconds since 1970 by the database's clock, the one that all workers share."""
    return int(await db.value(conn, _SQL["database_time"], {}))


async def last_ticks(conn: Conn) -> dict[tuple[str, str], int]:
    ticks = await db.many(conn, _SQL["last_ticks"], {}, Tick)
    return {(tick.task_name, tick.periodic_id): tick.last_tick for tick in ticks}


async def start_schedule(conn: Conn, job: Job, periodic_id: str, cron: str, tick: int) -> None:
    params = {
        "task_name": job.task_name,
        "periodic_id": periodic_id,
        "tick": tick,
        "cron": cron,
        "queue": job.queue,
        "lock": job.lock,
    }
    await db.execute(conn, _SQL["start_schedule"], params)


async def skip_tick(conn: Conn, task_name: str, periodic_id: str, tick: int) -> None:
    """As if it had become a job."""
    params = {"task_name": task_name, "periodic_id": periodic_id, "tick": tick}
    await db.execute(conn, _SQL["skip_tick"], params)


async def defer_tick(conn: Conn, job: Job, periodic_id: str, tick: int) -> int | None:
    """The job's id, or None when that tick or a later one already had its job. Raises
    UniqueViolation when its queueing lock is taken: the last one waits yet."""
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
    job_id: int | None = await db.value(conn, _SQL["defer_tick"], params)
    return job_id
