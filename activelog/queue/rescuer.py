"""Puts the jobs of dead workers back."""

import logging
from collections.abc import Callable

import psycopg

from activelog.database import ReconnectingConnection
from activelog.queue import queries
from activelog.queue.heartbeat import Heartbeat
from activelog.queue.limits import Limits

DEATHS = 3  # a job that took so many workers with it is not rescued again

logger = logging.getLogger(__name__)


async def rescue(
    connection: ReconnectingConnection,
    limits: Limits,
    heartbeat: Heartbeat,
    on_rescued: Callable[[], None],
) -> None:
    """If it is for this worker to do, and only after regular heartbeats of its own."""
    if not (heartbeat.is_to_rescue and heartbeat.is_regular):
        return
    try:
        rescued = await connection(
            lambda conn: queries.rescue(
                conn, heartbeat.worker_id, limits.silence, limits.stock_silence, DEATHS
            )
        )
    except psycopg.errors.UniqueViolation as error:
        # A job with the same queueing lock came in this very moment: it is seen next time.
        logger.warning("Rescuing is tried again: %s", error)
        return
    for job in rescued:
        outcome = "failed" if job.failed else "put back"
        logger.warning("Job %s[%d] of a dead worker: %s", job.task_name, job.job_id, outcome)
        on_rescued()
