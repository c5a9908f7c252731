import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial

import psycopg

from activelog import schedules
from activelog.base.date_ranges import midnight
from activelog.queue import Blueprint, Context
from activelog.retention import queries
from activelog.services import Services, of_job
from activelog.storage import StorageError, Stored

PAGE = 1000
ACCOUNTS_PAGE = 100
SWEPT_A_NIGHT = 1_000_000  # objects of a folder
UPLOADS_MAY_TAKE = timedelta(days=1)

logger = logging.getLogger(__name__)
blueprint = Blueprint()


@blueprint.periodic(cron="0 2 * * *")
@blueprint.job("activelog.cleanup.nightly", queue="low", timeout=6 * 3600, lock="cleanup")
async def nightly(context: Context, timestamp: int | None = None, day: str | None = None) -> None:
    """Deletes what is old; by hand, `day` says as of when (jobs go by the clock). A second run
    finds nothing left to delete. What fails keeps nothing else from being done."""
    services = of_job(context)
    now = midnight(schedules.day_of(None, day, services.clock())) if day else services.clock()
    failed: list[Exception] = []
    async with schedules.recorded(context, timestamp) as counts:
        for what, delete in _concerns(services, now):
            try:
                if deleted := await delete():
                    counts[what] += deleted
            except (psycopg.Error, StorageError) as error:
                logger.warning("The clean-up of %s failed: %s", what, error)
                failed.append(error)
        if failed:
            raise failed[0]
        await services.storage.set_rules()


def _concerns(
    services: Services, now: datetime
) -> Iterator[tuple[str, Callable[[], Awaitable[int]]]]:
    """What is deleted, and how; each gives how many. Last what needs the storage."""
    for name, statement in queries.retention():
        yield name.replace("_", " "), partial(delete_all, services, statement, now)
    yield "jobs", partial(retire_jobs, services)
    yield "accounts", partial(delete_accounts, services, now)
    for folder, statement in queries.objects():
        yield "orphaned objects", partial(sweep, services, folder, statement, now)


async def delete_all(services: Services, statement: bytes, now: datetime) -> int:
    total = 0
    while True:
        async with services.pool.connection() as conn:
            deleted = await queries.delete(conn, statement, {"now": now, "page": PAGE})
        total += deleted
        if deleted < PAGE:
            return total


async def sweep(services: Services, folder: str, statement: bytes, now: datetime) -> int:
    """Removes objects that no row needs; where a folder has very many, the next night goes on."""
    total = looked_at = 0
    async with services.pool.connection() as conn:
        after = await queries.swept_until(conn, folder)
    async with aclosing(services.storage.walk(f"{folder}/", PAGE, after)) as pages:
        async for page in pages:
            total += await _remove_orphans(services, statement, page, now)
            looked_at += len(page)
            if looked_at >= SWEPT_A_NIGHT:
                await _note_swept(services, folder, page[-1].key)
                return total
    await _note_swept(services, folder, "")
    return total


async def _remove_orphans(
    services: Services, statement: bytes, page: list[Stored], now: datetime
) -> int:
    """Those of the last day may belong to a request that is not committed yet."""
    old = [found.key for found in page if found.modified < now - UPLOADS_MAY_TAKE]
    async with services.pool.connection() as conn:
        orphans = await queries.orphans(conn, statement, old)
    await services.storage.remove_all(orphans)
    return len(orphans)


async def _note_swept(services: Services, folder: str, until: str) -> None:
    async with services.pool.connection() as conn:
        await queries.note_swept(conn, folder, until)


async def delete_accounts(services: Services, now: datetime) -> int:
    """Closes a page of accounts, so that nobody restores what is half gone, then removes their
    objects, then their rows of every part, and last the accounts themselves, by which the next
    night finds the rest after a crash."""
    total = 0
    while True:
        async with services.pool.connection() as conn:
            user_ids = await queries.close_accounts(conn, now, ACCOUNTS_PAGE)
        if not user_ids:
            return total
        for user_id in user_ids:
            await _remove_objects(services, user_id)
        for statement in queries.account_deletion():
            await _delete_of_accounts(services, statement, user_ids)
        async with services.pool.connection() as conn:
            await queries.delete_accounts(conn, user_ids)
        total += len(user_ids)


async def _delete_of_accounts(services: Services, statement: bytes, user_ids: list[int]) -> None:
    params = {"user_ids": user_ids, "page": PAGE}
    async with services.pool.connection() as conn:
        while await queries.delete(conn, statement, params) == PAGE:
            pass


async def _remove_objects(services: Services, user_id: int) -> None:
    for folder, _ in queries.objects():
        async for page in services.storage.walk(f"{folder}/{user_id}/", PAGE):
            await services.storage.remove_all([found.key for found in page])


async def retire_jobs(services: Services) -> int:
    deleted, after = 0, 0
    while True:
        async with services.pool.connection() as conn:
            page = await queries.retire_jobs(
                conn,
                after,
                page=PAGE,
                succeeded_days=services.settings.keep_succeeded_days,
                failed_days=services.settings.keep_failed_days,
            )
        deleted += page.deleted
        if page.last_id is None:
            return deleted
        after = page.last_id
