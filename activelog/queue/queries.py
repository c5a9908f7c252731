"""The worker's face of sql/queue/queries.sql."""

import os
import socket
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from procrastinate.jobs import Job
from psycopg.types.json import Jsonb

from activelog import database
from activelog.base.errors import JobError
from activelog.database import Conn
from activelog.queue.outcome import Outcome, Run, message_of

_SQL = database.queries("queue")
_ERROR_LENGTH = 2_000
_TRACEBACK_LENGTH = 20_000


@dataclass(frozen=True)
class Rescued:
    job_id: int
    task_name: str
    failed: bool


async def register_worker(
    conn: Conn, slots: int, queues: list[str] | None, tasks: list[str]
) -> int:
    """Says that this process works. `queues` None: all."""
    params = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "slots": slots,
        "queues": queues,
        "tasks": tasks,
    }
    return int(await database.value(conn, _SQL["register_worker"], params))


async def unregister_worker(conn: Conn, worker_id: int) -> None:
    await database.execute(conn, _SQL["unregister_worker"], {"worker_id": worker_id})


async def count(
    conn: Conn, worker_id: int, number: int, counts: Sequence[Mapping[str, Any]]
) -> None:
    """Appends what job_counters.py added up. `number` grows with each call of a worker: the same
    one again, since the answer was lost, changes nothing."""
    params = {"worker_id": worker_id, "number": number, "counts": database.records(counts)}
    await database.execute(conn, _SQL["count"], params)


async def complete_and_claim(
    conn: Conn, outcomes: Collection[Outcome], claim: Mapping[str, Any] | None
) -> tuple[set[int], list[Run], float | None]:
    """Writes outcomes and claims jobs, in one transaction and one round trip.

    `claim` has the parameters of the statement, None claims nothing. Returns the ids of the jobs
    whose outcomes were written (the others were taken over), the jobs, and in how many seconds the
    next one can start when there are fewer than were asked for.
    """
    async with conn.cursor() as claimed, conn.cursor() as finished:
        async with conn.pipeline():
            if any(outcome.error is not None for outcome in outcomes):
                await conn.execute(_SQL["record_errors"], {"errors": _errors(outcomes)})
            if outcomes:
                await finished.execute(_SQL["finish"], _finish_params(outcomes))
            if claim:
                await claimed.execute(_SQL["claim"], claim)
        # Not before: who asks for an answer within the pipeline sends the commit with another trip.
        written = {row[0] for row in await finished.fetchall()} if outcomes else set()
        rows = await claimed.fetchall() if claim else []
    runs = [Run(_job(job), waited or 0.0) for *job, waited, _ in rows if job[0] is not None]
    ready_in = rows[-1][-1] if rows and rows[-1][0] is None else None
    return written, runs, ready_in


def _job(row: Sequence[Any]) -> Job:
    job_id, worker_id, task, queue, priority, lock, queueing_lock, args, attempts = row
    return Job(
        id=job_id,
        status="doing",
        queue=queue,
        priority=priority,
        lock=lock,
        queueing_lock=queueing_lock,
        task_name=task,
        task_kwargs=_arguments(args),
        attempts=attempts,
        worker_id=worker_id,
    )


def _arguments(text: str) -> dict[str, Any]:
    """Those that are no object, or have numbers that Python does not read, as people's SQL may
    write them, become an object that no task takes."""
    try:
        found = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return {"args": text}
    return found if isinstance(found, dict) else {"args": found}


def _finish_params(outcomes: Collection[Outcome]) -> dict[str, Any]:
    return {
        "ids": database.array(outcome.job.id for outcome in outcomes),
        "workers": database.array(outcome.job.worker_id for outcome in outcomes),
        "statuses": database.array(outcome.status for outcome in outcomes),
        "spent": database.array(outcome.spent for outcome in outcomes),
        "retry_at": database.array(
            outcome.retry_at and f'"{outcome.retry_at}"' for outcome in outcomes
        ),
    }


def _errors(outcomes: Collection[Outcome]) -> Jsonb:
    return database.records(
        [
            {
                "job_id": outcome.job.id,
                "worker_id": outcome.job.worker_id,
                "attempt": outcome.job.attempts + 1,
                "error": _text(f"{type(error).__name__}: {message_of(error)}"[:_ERROR_LENGTH]),
                "public_error": _text(message_of(error)[:_ERROR_LENGTH])
                if isinstance(error, JobError)
                else None,
                "traceback": _text("".join(traceback.format_exception(error))[-_TRACEBACK_LENGTH:]),
            }
            for outcome in outcomes
            if (error := outcome.error) is not None
        ]
    )


def _text(text: str) -> str:
    # Postgres refuses NUL, and a lone surrogate cannot be sent at all.
    return text.replace("\0", "�").encode(errors="replace").decode()


async def claimed_but(conn: Conn, worker_id: int, known: list[int]) -> list[Job]:
    """What the worker has claimed, but for these."""
    cursor = await conn.execute(_SQL["claimed_but"], {"worker_id": worker_id, "known": known})
    return [_job(row) for row in await cursor.fetchall()]


async def abort_requests(conn: Conn, ids: list[int]) -> list[int]:
    cursor = await conn.execute(_SQL["abort_requests"], {"ids": ids})
    return [job_id for (job_id,) in await cursor.fetchall()]


async def rescue(
    conn: Conn, worker_id: int, silence: float, stock_silence: float, deaths: int
) -> list[Rescued]:
    """Puts jobs of dead workers back, if this worker's own heartbeat is fresh. Raises
    UniqueViolation when a job with the queueing lock of one of them came at the same moment."""
    params = {
        "worker_id": worker_id,
        "silence": f"{silence} seconds",
        "stock_silence": f"{stock_silence} seconds",
        "deaths": deaths,
    }
    return await database.many(conn, _SQL["rescue"], params, Rescued)


async def unknown_task(conn: Conn, queues: list[str] | None, tasks: list[str]) -> str | None:
    """A task that is not among `tasks`, of jobs at the front of these queues (None: of any)."""
    params = {"queues": queues, "tasks": tasks}
    name: str | None = await database.value(conn, _SQL["unknown_task"], params)
    return name
