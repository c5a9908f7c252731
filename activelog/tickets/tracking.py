"""The job's side of a ticket."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from procrastinate.exceptions import JobAborted

from activelog.base.errors import JobError, Permanent
from activelog.services import Services
from activelog.storage import ObjectMissing, StorageError
from activelog.tickets import queries

_REPORT_INTERVAL = 0.25  # seconds between two writes of the progress


@dataclass
class TrackedJob:
    """A job whose progress its owner follows."""

    ticket_id: UUID
    user_id: int
    services: Services
    _reported: float = field(default=0.0)

    async def report(self, progress: int, message: str) -> None:
        """Shows the progress to whoever asks; cheap to call often."""
        now = time.monotonic()
        if now - self._reported < _REPORT_INTERVAL:
            return
        self._reported = now
        with suppress(psycopg.OperationalError):  # a bar that stands still harms nobody
            async with self.services.pool.connection() as conn:
                await queries.report(conn, self.ticket_id, min(progress, 99), message)

    async def is_over(self) -> bool:
        """Whether the ticket was finished or deleted meanwhile. Raises JobAborted when it was
        cancelled."""
        return await _start(self.services, self.ticket_id) is None

    async def is_cancelled(self) -> bool:
        """Also when the ticket is gone."""
        async with self.services.pool.connection() as conn:
            return await queries.is_cancelled(conn, self.ticket_id)


@asynccontextmanager
async def tracking(
    services: Services, ticket_id: str, doing: str
) -> AsyncIterator[TrackedJob | None]:
    """Starts a ticket, or gives None when it is finished or gone: the second run of a job has
    then nothing to do. Errors leave as JobErrors that begin with "failed to {doing}"; a ticket
    that was cancelled before its job got here raises JobAborted.
    """
    parsed_id = UUID(ticket_id)
    try:
        user_id = await _start(services, parsed_id)
        yield None if user_id is None else TrackedJob(parsed_id, user_id, services)
    except JobAborted:
        raise
    except Permanent as error:
        raise Permanent(f"failed to {doing}: {error}") from error
    except Exception as error:
        raise JobError(f"failed to {doing}: {_public_reason(error)}") from error


async def _start(services: Services, ticket_id: UUID) -> int | None:
    async with services.pool.connection() as conn:
        started = await queries.start(conn, ticket_id)
    if started is None:
        return None
    if started.is_cancelled:
        raise JobAborted
    return started.user_id


def _public_reason(error: Exception) -> str:
    match error:
        case JobError():
            return str(error)
        case psycopg.OperationalError():
            return "database connection lost"
        case StorageError() | ObjectMissing():
            return "file storage is unavailable"
        case _:
            return "internal error"
