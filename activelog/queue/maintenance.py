"""What a worker does beside running jobs, each an endless coroutine that survives an outage."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable

from procrastinate.manager import get_channel_for_queues

from activelog.database import ReconnectingConnection
from activelog.database.notifications import listen
from activelog.queue import queries
from activelog.queue.wake_ups import Notice, read_notification

_UNKNOWN_INTERVAL = 60.0  # seconds

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
