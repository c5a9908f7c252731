"""What a worker does beside running jobs, each an endless coroutine that survives an outage."""

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Iterable

import psycopg
from procrastinate.manager import get_channel_for_queues
from psycopg import sql

from activelog.queue import store
from activelog.queue.heart import SILENCE
from activelog.queue.line import Line

DEATHS = 3  # a job that took so many workers with it is not rescued again
_RESCUE_INTERVAL = 1.0
_UNKNOWN_INTERVAL = 60.0
_DEPTHS_INTERVAL = 60.0  # more often than there is a line in the table, so that none is missed
_WORDS_INTERVAL = 60.0  # a job with a lower id may still be on its way for so long
_KEEPALIVE = 15.0

logger = logging.getLogger(__name__)


async def listen(
    url: str,
    queues: Iterable[str] | None,
    on_job: Callable[[], None],
    on_abort: Callable[[int], None],
) -> None:
    """Calls back for each notification of the engine; after a break it listens anew and calls
    `on_job` once, for what it may have missed."""
    while True:
        try:
            await _listen_once(url, queues, on_job, on_abort)
        except psycopg.Error as error:
            logger.warning("Not listening: %s", str(error).strip())
            await asyncio.sleep(0.5)


async def _listen_once(
    url: str,
    queues: Iterable[str] | None,
    on_job: Callable[[], None],
    on_abort: Callable[[int], None],
) -> None:
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, application_name="activelog listener", connect_timeout=3
    ) as conn:
        for channel in get_channel_for_queues(queues):
            await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        on_job()
        while True:
            async for notify in conn.notifies(timeout=_KEEPALIVE):
                notification = json.loads(notify.payload)
                if notification["type"] == "abort_job_requested":
                    on_abort(notification["job_id"])
                else:
                    on_job()
            # A connection that died without a word (a firewall, a failover) shows here.
            await conn.execute("SELECT 1")


async def rescue(line: Line, on_rescued: Callable[[], None]) -> None:
    """Puts the jobs of dead workers back in line, in every worker, every second.

    It waits out the threshold first and after each outage: when Postgres was away, every
    worker's last beat is old, and none of them is dead.
    """
    while True:
        await _all_had_time_to_beat(line)
        while not line.broke:
            rescued = await line(lambda conn: store.rescue(conn, SILENCE, DEATHS))
            for job in rescued:
                outcome = "failed" if job.failed else "back in line"
                logger.warning(
                    "Job %s[%s] of a dead worker: %s", job.task_name, job.job_id, outcome
                )
            if rescued:
                on_rescued()
            await asyncio.sleep(_RESCUE_INTERVAL)


async def _all_had_time_to_beat(line: Line) -> None:
    await line(store.database_time)
    line.broke = False
    await asyncio.sleep(SILENCE)


async def watch_aborts(
    line: Line, interval: float, running: Callable[[], list[int]], on_abort: Callable[[int], None]
) -> None:
    """Asks for abort requests whose notification went astray."""
    while True:
        await asyncio.sleep(interval)
        if running():
            for job_id in await line(lambda conn: store.abort_requests(conn, running())):
                on_abort(job_id)


async def note_depths(line: Line) -> None:
    """Keeps the history of how full the queues are, for charts."""
    while True:
        await line(store.note_depths)
        await asyncio.sleep(_DEPTHS_INTERVAL)


async def note_words(line: Line) -> None:
    """Makes jobs findable by their words, a minute after the last of their block came."""
    while True:
        seen = await line(store.newest_job)
        await asyncio.sleep(_WORDS_INTERVAL)
        while await line(lambda conn, until=seen + 1: store.note_words(conn, until)):  # type: ignore[misc]
            pass


async def report_unknown(line: Line, queues: Collection[str] | None, tasks: list[str]) -> None:
    """Says when jobs wait for a task that this worker does not know (a rolling deploy, or a
    misspelt name): they stay queued for a worker that does."""
    while True:
        name = await line(lambda conn: store.unknown_task(conn, queues, tasks))
        if name is not None:
            logger.warning("Jobs wait for the task %s, which this worker does not know", name)
        await asyncio.sleep(_UNKNOWN_INTERVAL)
