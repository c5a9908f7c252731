"""Puts the jobs of dead workers back."""

import asyncio
import logging
from collections.abc import Callable

import psycopg

from activelog.database import ReconnectingConnection
from activelog.queue import queries
from activelog.queue.heartbeat import Heartbeat
from activelog.queue.limits import Limits

DEATHS = 3  # a job that took so many workers with it is not rescued again
_INTERVAL = 1.0  # seconds

logger = logging.getLogger(__name__)


async def rescue(
    connection: ReconnectingConnection,
    limits: Limits,
    current: Callable[[], tuple[int, Heartbeat] | None],
    on_rescued: Callable[[], None],
) -> None:
    """The worker that leads rescues. Another one does when the leader has not done so for two more
    seconds. Both only after regular heartbeats of their own. `current` gives its id and heartbeat
    while it is registered."""
    while True:
        await asyncio.sleep(_INTERVAL)
        found = current()
        if found is None:
            continue
        worker_id, heartbeat = found
        if not (heartbeat.is_needed and heartbeat.is_regular):
            continue
        try:
            rescued = await connection(
                lambda conn, worker_id=worker_id: queries.rescue(  # type: ignore[misc]
                    conn, worker_id, limits.silence, limits.stock_silence, DEATHS
                )
            )
        except psycopg.errors.UniqueViolation as error:
            # A job with the same queueing lock came in this very moment: it is seen next time.
            logger.warning("Rescuing is tried again: %s", error)
            continue
        for job in rescued:
            outcome = "failed" if job.failed else "put back"
            logger.warning("Job %s[%d] of a dead worker: %s", job.task_name, job.job_id, outcome)
            on_rescued()
