"""What a worker does beside running jobs, each an endless coroutine that survives an outage."""

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Iterable

import psycopg
from procrastinate.manager import get_channel_for_queues

from activelog.listening import listen
from activelog.queue import store
from activelog.queue.heart import SILENCE, STOCK_SILENCE, Heart
from activelog.queue.lifeline import Lifeline

DEATHS = 3  # a job that took so many workers with it is not rescued again
_RESCUE_INTERVAL = 1.0
_UNKNOWN_INTERVAL = 60.0
_DEPTHS_INTERVAL = 60.0  # more often than there is a line in the table, so that none is missed
_WORDS_INTERVAL = 60.0  # a job with a lower id may still be on its way for so long

logger = logging.getLogger(__name__)


async def watch_notifications(
    url: str,
    queues: Iterable[str] | None,
    on_job: Callable[[], None],
    on_abort: Callable[[int], None],
) -> None:
    """Calls back for each notification on the engine's channels, and `on_job` for those that it may
    have missed."""

    def on_notify(payload: str) -> None:
        aborted = _job_to_abort(payload)
        on_job() if aborted is None else on_abort(aborted)

    await listen(
        url,
        list(get_channel_for_queues(queues)),
        application="activelog listener",
        on_start=on_job,
        on_notify=on_notify,
    )


def _job_to_abort(payload: str) -> int | None:
    """None for all that is no request of the engine's to abort a job: then there may be a new one.
    (Anybody can send on its channels.)"""
    try:
        notification = json.loads(payload)
        is_abort = notification["type"] == "abort_job_requested"
        return int(notification["job_id"]) if is_abort else None
    except (ValueError, TypeError, LookupError):
        return None


async def rescue(
    line: Lifeline,
    heart: Callable[[], Heart],
    worker_id: Callable[[], int | None],
    on_rescued: Callable[[], None],
    on_lost: Callable[[int], None],
) -> None:
    """Puts the jobs of dead workers back in line, in every worker, every second; and asks whether
    others took this one for dead, in case that its heart has not heard of it."""
    while True:
        await asyncio.sleep(_RESCUE_INTERVAL)
        own_id = worker_id()
        if own_id is None or not heart().has_been_steady:
            continue
        if not await line(lambda conn, own_id=own_id: store.is_registered(conn, own_id)):  # type: ignore[misc]
            on_lost(own_id)
            continue
        for job in await _rescued(line, own_id):
            outcome = "failed" if job.failed else "back in line"
            logger.warning("Job %s[%s] of a dead worker: %s", job.task_name, job.job_id, outcome)
            on_rescued()


async def _rescued(line: Lifeline, own_id: int) -> list[store.Rescued]:
    try:
        return await line(lambda conn: store.rescue(conn, own_id, SILENCE, STOCK_SILENCE, DEATHS))
    except psycopg.errors.UniqueViolation as error:
        # A job with the same queueing lock came in this very moment: it is seen next time.
        logger.warning("Rescuing is tried again: %s", error)
        return []


async def watch_aborts(
    line: Lifeline,
    interval: float,
    running: Callable[[], list[int]],
    on_abort: Callable[[int], None],
) -> None:
    """Asks for abort requests whose notification went astray."""
    while True:
        await asyncio.sleep(interval)
        if running():
            for job_id in await line(lambda conn: store.abort_requests(conn, running())):
                on_abort(job_id)


async def note_depths(line: Lifeline) -> None:
    """Keeps the history of how full the queues are, for charts."""
    while True:
        await line(store.note_depths)
        await asyncio.sleep(_DEPTHS_INTERVAL)


async def note_words(line: Lifeline) -> None:
    """Makes jobs findable by their words, a minute after the last of their block came."""
    while True:
        seen = await line(store.newest_job)
        await asyncio.sleep(_WORDS_INTERVAL)
        while await line(lambda conn, until=seen + 1: store.note_words(conn, until)):  # type: ignore[misc]
            pass


async def report_unknown(line: Lifeline, queues: Collection[str] | None, tasks: list[str]) -> None:
    """Says when jobs wait for a task that this worker does not know (a rolling deploy, or a
    misspelt name): they stay queued for a worker that does."""
    while True:
        name = await line(lambda conn: store.unknown_task(conn, queues, tasks))
        if name is not None:
            logger.warning("Jobs wait for the task %s, which this worker does not know", name)
        await asyncio.sleep(_UNKNOWN_INTERVAL)
