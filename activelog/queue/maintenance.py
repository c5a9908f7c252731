"""What a worker does now and then beside running jobs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from activelog.database import ReconnectingConnection
from activelog.queue import queries
from activelog.queue.running_jobs import RunningJobs

logger = logging.getLogger(__name__)


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await work()
        await asyncio.sleep(seconds)


async def find_aborts(connection: ReconnectingConnection, running: RunningJobs) -> None:
    """Asks for abort requests whose notification was lost."""
    if ids := running.ids():
        for job_id in await connection(partial(queries.abort_requests, ids=ids)):
            running.abort(job_id)


async def report_unknown(
    connection: ReconnectingConnection, queues: list[str] | None, tasks: list[str]
) -> None:
    """Says when jobs wait for a task that this worker does not know (a rolling deploy, or a
    misspelt name): they stay queued for a worker that does."""
    name = await connection(lambda conn: queries.unknown_task(conn, queues, tasks))
    if name is not None:
        logger.warning("Jobs wait for the task %s, which this worker does not know", name)
