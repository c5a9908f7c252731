"""What a worker does beside running jobs, each an endless coroutine that survives an outage."""

import asyncio
import logging
from collections.abc import Collection
from functools import partial

from activelog.database import ReconnectingConnection
from activelog.queue import queries
from activelog.queue.running_jobs import RunningJobs

_UNKNOWN_INTERVAL = 60.0  # seconds

logger = logging.getLogger(__name__)


async def watch_aborts(
    connection: ReconnectingConnection, interval: float, running: RunningJobs
) -> None:
    """Asks for abort requests whose notification went astray."""
    while True:
        await asyncio.sleep(interval)
        if ids := running.ids():
            for job_id in await connection(partial(queries.abort_requests, ids=ids)):
                running.abort(job_id)


async def report_unknown(
    connection: ReconnectingConnection, queues: Collection[str] | None, tasks: list[str]
) -> None:
    """Says when jobs wait for a task that this worker does not know (a rolling deploy, or a
    misspelt name): they stay queued for a worker that does."""
    while True:
        name = await connection(lambda conn: queries.unknown_task(conn, queues, tasks))
        if name is not None:
            logger.warning("Jobs wait for the task %s, which this worker does not know", name)
        await asyncio.sleep(_UNKNOWN_INTERVAL)
