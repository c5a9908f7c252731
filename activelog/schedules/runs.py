"""What scheduled tasks did: a row for each run, with its tick, outcome and counts.

A tick comes as `timestamp` (seconds, UTC) from the schedule; deferred by hand a task gets none, or
a `day`. Missed ticks are made up (ticks.py); a task for which late is worse than never says so
and skips.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, date, datetime

import procrastinate
from procrastinate.job_context import AbortReason

from activelog.base.errors import Permanent
from activelog.database import Conn
from activelog.queue import Context
from activelog.schedules import queries

logger = logging.getLogger(__name__)

_ERROR_LENGTH = 500
_FIRST_DAY = date(1970, 1, 1)


class Counts(Counter[str]):
    """What a run did, in numbers; `skipped` says that it rightly did nothing."""

    skipped = False


@asynccontextmanager
async def recorded(context: Context, timestamp: int | None) -> AsyncIterator[Counts]:
    """Writes the row of this run: at the start, and how it ended with its counts."""
    job, counts = context.job, Counts()
    tick = datetime.fromtimestamp(timestamp, UTC) if timestamp else None
    async with _connection(context) as conn:
        run_id = await queries.start_run(conn, job.task_name, tick, job.id or 0)
    try:
        yield counts
    except BaseException as error:
        if context.abort_reason() is AbortReason.SHUTDOWN:  # it is run again, from the start
            async with _connection(context) as conn:
                await queries.forget_run(conn, run_id)
        else:
            await _finish(context, run_id, "failed", counts, _reason(error))
        raise
    await _finish(context, run_id, "skipped" if counts.skipped else "succeeded", counts)
    done = ", ".join(f"{number:,} {what}" for what, number in counts.items()) or "nothing"
    logger.info("%s: %s", job.task_name, done)


async def _finish(
    context: Context, run_id: int, outcome: str, counts: Counts, error: str | None = None
) -> None:
    async with _connection(context) as conn:
        await queries.finish_run(conn, run_id, outcome, counts, error)


def _connection(context: Context) -> AbstractAsyncContextManager[Conn]:
    connector = context.app.connector
    assert isinstance(connector, procrastinate.PsycopgConnector)
    return connector.pool.connection()


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "it took too long, or somebody stopped it"
    return f"{type(error).__name__}: {error}"[:_ERROR_LENGTH]


def day_of(timestamp: int | None, day: str | None, now: datetime) -> date:
    """The day on which a run happens: said by hand, that of its tick, or today. Raises Permanent
    for a day that is none, or to come: what is due then is not due now."""
    if day is not None:
        try:
            said = date.fromisoformat(day)
        except (ValueError, TypeError):
            raise Permanent(f"day must be like 2024-01-31, not {day!r}") from None
        if not _FIRST_DAY <= said <= now.date():
            raise Permanent(f"day must be from {_FIRST_DAY} to today, not {day}")
        return said
    return datetime.fromtimestamp(timestamp, UTC).date() if timestamp else now.date()
