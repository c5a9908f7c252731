"""What an admin does to jobs, queues, schedules and addresses: done, and noted in the audit. The
pages and the admin API call these."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID, uuid4

from psycopg.errors import QueryCanceled, UniqueViolation

from activelog import database, mail
from activelog.base.errors import AppError
from activelog.base.formatting import counted
from activelog.database import Conn
from activelog.mail import MailKind
from activelog.operations import admin, queries
from activelog.operations.model import Action, JobFilter, Work
from activelog.operations.troubles import Trouble
from activelog.services import Services

_SECONDS = 5  # that reading for a page may take
_FIRST_DAY = date(1970, 1, 1)
# Why an action was not right for a job.
_REFUSALS: dict[Action, str] = {
    "retry": "the job is in another state by now, or a job with its queueing lock waits",
    "run_now": "the job does not wait for its time: it can start as soon as a slot is free",
    "cancel": "the job has ended by now",
    "delete": "the job has not ended: cancel it first",
}


def searching(services: Services) -> AbstractAsyncContextManager[Conn]:
    """Raises AppError when too much is to be read."""
    message = "that is too much to look through: choose a state, queue or task"
    return _in_time(services, AppError("too much", message, 422))


def reading(services: Services) -> AbstractAsyncContextManager[Conn]:
    """For what the pages show. Raises AppError when Postgres does not answer in time: somebody
    may hold a lock, and who looks again and again must not take all connections for it."""
    message = f"Postgres did not answer within {_SECONDS} seconds: “activelog doctor” says why"
    return _in_time(services, AppError("unavailable", message, 503, retry_after=5))


@asynccontextmanager
async def _in_time(services: Services, error: AppError) -> AsyncIterator[Conn]:
    try:
        async with database.searching(services.reader, _SECONDS) as conn:
            yield conn
    except QueryCanceled:
        raise error from None


async def troubles(services: Services) -> list[Trouble]:
    """What is wrong now, the worst first. While a session holds others up, no other table is asked:
    it might be the one that is locked."""
    async with services.pool.connection() as conn:  # sessions are the primary's
        found = await queries.in_the_way(conn)
    if any(trouble.kind == "lock" for trouble in found):
        return found
    async with reading(services) as conn:
        return [*found, *await admin.troubles(conn)]


async def act(services: Services, admin_id: int, job_id: int, action: Action) -> None:
    """Raises AppError when the job is in another state."""
    async with services.pool.connection() as conn:
        if not await admin.act(conn, action, [job_id]):
            raise AppError("conflict", _REFUSALS[action], 409)
        await admin.note(conn, admin_id, action, f"job {job_id}")


async def run_again(services: Services, admin_id: int, job_id: int, args: dict[str, Any]) -> int:
    """The id of a new job, which is like that one but for its arguments."""
    async with services.pool.connection() as conn:
        try:
            again = await admin.run_again(conn, job_id, args)
        except UniqueViolation:
            raise AppError("conflict", "a job with its queueing lock waits", 409) from None
        if again is None:
            raise AppError.not_found("job")
        await admin.note(conn, admin_id, "run again", f"job {job_id} as job {again}")
    return again


async def act_on_some(services: Services, admin_id: int, job_ids: list[int], action: Action) -> int:
    """How many jobs it was right for; the others are in another state by now."""
    async with services.pool.connection() as conn:
        done = await admin.act(conn, action, job_ids)
        await admin.note(conn, admin_id, action, f"ticked: {counted(len(done), 'jobs')}")
        if done:
            ids = ", ".join(map(str, done))
            await admin.note(conn, admin_id, action, f"the ticked jobs: {ids}")
    return len(done)


async def begin_bulk(services: Services, admin_id: int, action: Action, wanted: JobFilter) -> UUID:
    """A ticket of work on all jobs that match now. Raises AppError without a state: what may be
    done to a job depends on it."""
    check_bulk(wanted, action)
    ticket_id = uuid4()
    async with services.pool.connection() as conn, conn.transaction():
        ids = await admin.came_within(conn, wanted)
        args = {
            "ticket_id": str(ticket_id),
            "action": action,
            "wanted": {name: value for name, value in wanted.what().items() if value},
            "after": ids.first - 1,
            "until": ids.last - 1,
        }
        await admin.defer_bulk(conn, ticket_id, admin_id, args)
        await admin.note(conn, admin_id, action, f"all jobs with {urlencode(wanted.fields())}")
    return ticket_id


def check_bulk(wanted: JobFilter, action: Action | None = None) -> None:
    """Raises AppError for an action that such jobs cannot take."""
    if wanted.status is None:
        raise AppError.invalid("status", "choose the state of the jobs first")
    if wanted.before is not None:
        raise AppError.invalid("before", "is for the pages of a list: say end_date")
    if action is not None and action not in wanted.actions():
        name = action.replace("_", " ")
        raise AppError.invalid("action", f"{name} is nothing for jobs that are {wanted.status}")


async def switch(
    services: Services, admin_id: int, queue: str, action: Literal["pause", "resume"]
) -> None:
    """Raises AppError for a queue that nobody knows, or that is not paused."""
    async with services.pool.connection() as conn:
        await admin.switch(conn, queue, action)
        await admin.note(conn, admin_id, action, f"queue {queue}")


async def limit(services: Services, admin_id: int, queue: str, running: int | None) -> None:
    """Raises AppError for a queue that nobody knows."""
    async with services.pool.connection() as conn:
        await admin.limit(conn, queue, running)
        await admin.note(conn, admin_id, "limit", f"queue {queue}: {running or 'none'}")


async def limit_group(services: Services, admin_id: int, work: Work, running: int | None) -> None:
    async with services.pool.connection() as conn:
        await admin.limit_group(conn, work, running)
        await admin.note(conn, admin_id, "limit", f"{work} of one person: {running or 'as usual'}")


async def run_schedule(
    services: Services, admin_id: int, task: str, day: date | None = None
) -> None:
    """As it would have run on that day. Raises AppError for a task that is no schedule, and for a
    day to come."""
    if day is not None and day > services.clock().date():
        raise AppError.invalid("day", "is to come")
    if day is not None and day < _FIRST_DAY:
        raise AppError.invalid("day", f"must not be before {_FIRST_DAY}")
    async with services.pool.connection() as conn:
        if not await admin.run_schedule(conn, task, day):
            raise AppError.not_found("schedule")
        of = f" of {day}" if day else ""
        await admin.note(conn, admin_id, "run now", f"schedule {task}{of}")


async def switch_schedule(
    services: Services, admin_id: int, task: str, action: Literal["pause", "resume"]
) -> None:
    """Raises AppError for a task that is no schedule, or not paused."""
    change = admin.pause_schedule if action == "pause" else admin.resume_schedule
    async with services.pool.connection() as conn:
        if not await change(conn, task):
            raise AppError.not_found("schedule")
        await admin.note(conn, admin_id, action, f"schedule {task}")


async def lift(services: Services, admin_id: int, address: str) -> None:
    """Lets an address get mails again. Raises AppError for one that does."""
    async with services.pool.connection() as conn:
        if not await mail.unsuppress(conn, address.replace("\0", "")):
            raise AppError.not_found("suppressed address")
        await admin.note(conn, admin_id, "lift", "a suppressed address")


async def send_again(
    services: Services, admin_id: int, kinds: Iterable[MailKind], mail_id: int
) -> None:
    """Sends a mail that has its end once more. Raises AppError for one that is on its way."""
    async with services.pool.connection() as conn:
        name = await admin.mail_kind(conn, mail_id)
        kind = next((one for one in kinds if one.name == name), None)
        if kind is None:
            raise AppError.not_found("mail")
        if not await admin.send_again(conn, mail_id, kind):
            raise AppError("conflict", "that mail is on its way", 409)
        await admin.note(conn, admin_id, "send again", f"mail {mail_id} ({kind.name})")
