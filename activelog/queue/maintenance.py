"""What a worker does beside running jobs, each an endless coroutine that survives an outage."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass

from procrastinate.manager import get_channel_for_queues

from activelog.database import Conn
from activelog.database.notifications import listen
from activelog.queue import queries
from activelog.queue.connection import ReconnectingConnection
from activelog.queue.job_counters import JobCounters
from activelog.queue.wake_ups import Notice, read_notification

# Seconds
_COUNT_INTERVAL = 1.0
_UNKNOWN_INTERVAL = 60.0

logger = logging.getLogger(__name__)


async def watch_notifications(
    url: str,
    queues: Iterable[str] | None,
    on_job: Callable[[Notice | None], None],
    on_abort: Callable[[int], None],
) -> None:
    """Calls back for each notification on the engine's channels, and `on_job` for those that it may
    have missed."""

    def on_notify(payload: str) -> None:
        found = read_notification(payload)
        on_abort(found) if isinstance(found, int) else on_job(found)

    await listen(
        url,
        list(get_channel_for_queues(queues)),
        application="activelog listener",
        on_start=lambda: on_job(None),
        on_notify=on_notify,
    )


async def watch_aborts(
    connection: ReconnectingConnection,
    interval: float,
    running: Callable[[], list[int]],
    on_abort: Callable[[int], None],
) -> None:
    """Asks for abort requests whose notification went astray."""
    while True:
        await asyncio.sleep(interval)
        if running():
            for job_id in await connection(lambda conn: queries.abort_requests(conn, running())):
                on_abort(job_id)


async def write_counts(connection: ReconnectingConnection, counters: JobCounters) -> None:
    """Once a second, whatever the load."""
    while True:
        await asyncio.sleep(_COUNT_INTERVAL)
        await write_counts_now(connection, counters)


async def write_counts_now(connection: ReconnectingConnection, counters: JobCounters) -> None:
    if counts := counters.take():
        await connection(lambda conn: queries.count(conn, counts))


@dataclass(frozen=True)
class Chore:
    """What the worker that leads does for all, every `interval` seconds, and again at once while
    `work` returns True: each time is to be short, since rescuing waits for it. For a moment two
    workers may do it, and it must bear that."""

    interval: float
    work: Callable[[Conn], Awaitable[object]]


async def do_chore(
    connection: ReconnectingConnection, chore: Chore, is_leader: Callable[[], bool]
) -> None:
    while True:
        await asyncio.sleep(chore.interval)
        has_more: object = True
        while has_more and is_leader():
            has_more = await connection(chore.work)


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
