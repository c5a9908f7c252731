"""Turns the ticks of periodic tasks into jobs.

Stock procrastinate keeps the last tick in the process and goes by the host's clock, so downtime
loses ticks and a worker whose clock lags fires old ones again. Here the last tick of each
schedule is a row, the clock is the database's, and a tick becomes a job in the statement that
moves the row forward: exactly once, whoever comes first. Ticks that were missed while no worker
ran are made up for 24 hours back, and the latest one in any case; a schedule that is new starts
with its next tick.
"""

import asyncio
import logging
from collections.abc import Iterator

from croniter import croniter
from procrastinate.jobs import Job
from procrastinate.periodic import PeriodicTask
from psycopg.errors import UniqueViolation

from activelog.database import Conn
from activelog.queue import Worker
from activelog.schedules import queries

CATCH_UP = 24 * 3600
_LONGEST_SLEEP = 30.0

logger = logging.getLogger(__name__)


async def run_ticks(worker: Worker) -> None:
    """Runs for as long as the worker does, beside its jobs."""
    schedules = list(worker.app.periodic_registry.periodic_tasks.values())
    connection = worker.side_connection
    await connection(lambda conn: register(conn, schedules))
    while schedules:
        now = await connection(lambda conn: defer_due(conn, schedules))
        next_tick = min(_next_tick(schedule.cron, now) for schedule in schedules)
        await asyncio.sleep(min(next_tick - now, _LONGEST_SLEEP))


async def register(conn: Conn, schedules: list[PeriodicTask]) -> None:  # type: ignore[type-arg]
    """Says which periodic tasks there are; a new one starts now."""
    now = await queries.database_time(conn)
    for schedule in schedules:
        job = _job(schedule, now)
        await queries.register(conn, job, schedule.periodic_id, schedule.cron, now)


async def defer_due(conn: Conn, schedules: list[PeriodicTask]) -> int:  # type: ignore[type-arg]
    """Defers every tick that is due, but for paused schedules; returns the database's time in
    seconds."""
    now = await queries.database_time(conn)
    last_ticks = await queries.last_ticks(conn)
    for schedule in schedules:
        last = last_ticks.get((schedule.task.name, schedule.periodic_id))
        if last is None:
            continue
        for tick in due_ticks(schedule.cron, last.last_tick, now):
            if last.is_paused:
                await queries.skip_tick(conn, schedule.task.name, schedule.periodic_id, tick)
            else:
                await _defer(conn, schedule, tick)
    return now


def due_ticks(cron: str, last: int, now: int) -> Iterator[int]:
    """The ticks in (last, now] that are not older than CATCH_UP; if there are none, the latest one
    however old it is, so a month's does not fall into a long outage."""
    tick = _next_tick(cron, max(last, now - CATCH_UP))
    if tick > now and (latest := _last_tick(cron, now)) > last:
        yield latest
    while tick <= now:
        yield tick
        tick = _next_tick(cron, tick)


def _next_tick(cron: str, after: int) -> int:
    tick: float = croniter(cron).get_next(float, start_time=after)
    return round(tick)


def _last_tick(cron: str, until: int) -> int:
    tick: float = croniter(cron).get_prev(float, start_time=until + 1)
    return round(tick)


async def _defer(conn: Conn, schedule: PeriodicTask, tick: int) -> None:  # type: ignore[type-arg]
    try:
        job_id = await queries.defer_tick(conn, _job(schedule, tick), schedule.periodic_id, tick)
    except UniqueViolation:
        await queries.skip_tick(conn, schedule.task.name, schedule.periodic_id, tick)
        logger.warning(
            "Schedule %s: tick %d is skipped, the one before still waits", schedule.task.name, tick
        )
        return
    if job_id is not None:
        logger.info("Schedule %s: tick %d is job %d", schedule.task.name, tick, job_id)


def _job(schedule: PeriodicTask, tick: int) -> Job:  # type: ignore[type-arg]
    deferrer = schedule.task.configure(**schedule.configure_kwargs)
    return deferrer.job.evolve(task_kwargs={**deferrer.job.task_kwargs, "timestamp": tick})
