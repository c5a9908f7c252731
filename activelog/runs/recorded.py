import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

from procrastinate.job_context import AbortReason

from activelog.errors import Permanent
from activelog.queue import Context
from activelog.runs import queries
from activelog.services import of_job

logger = logging.getLogger(__name__)

_ERROR_LENGTH = 500
_FIRST_DAY = date(1970, 1, 1)


class Counts(Counter[str]):
    """What a run did, in numbers; `skipped` says that it rightly did nothing."""

    skipped = False


@asynccontextmanager
async def recorded(context: Context, timestamp: int | None) -> AsyncIterator[Counts]:
    """Writes the row of this run: at the start, and how it ended with its counts."""
    job, pool, counts = context.job, of_job(context).pool, Counts()
    tick = datetime.fromtimestamp(timestamp, UTC) if timestamp else None
    async with pool.connection() as conn:
        run_id = await queries.start(conn, job.task_name, tick, job.id or 0)

    async def finish(outcome: str, error: str | None = None) -> None:
        async with pool.connection() as conn:
            await queries.finish(conn, run_id, outcome, counts, error)

    try:
        yield counts
    except BaseException as error:
        if context.abort_reason() is AbortReason.SHUTDOWN:  # it is run again, from the start
            async with pool.connection() as conn:
                await queries.forget(conn, run_id)
        else:
            await finish("failed", _words(error))
        raise
    await finish("skipped" if counts.skipped else "succeeded")
    done = ", ".join(f"{number:,} {what}" for what, number in counts.items()) or "nothing"
    logger.info("%s: %s", job.task_name, done)


def _words(error: BaseException) -> str:
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
