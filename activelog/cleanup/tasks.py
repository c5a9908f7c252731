from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from activelog import runs
from activelog.cleanup import queries
from activelog.db import Conn
from activelog.period import midnight
from activelog.queue import Blueprint, Context
from activelog.runs import Counts
from activelog.services import Services, of_job

PAGE = 1000
ACCOUNTS_PAGE = 100
PREFIXES = ("exports/", "imports/", "photos/", "reports/")
UPLOADS_MAY_TAKE = timedelta(days=1)

Delete = Callable[[Conn, datetime, int], Awaitable[int]]
_TABLES: dict[str, Delete] = {
    "activities": queries.delete_activities,
    "verification links": queries.delete_verifications,
    "password links": queries.delete_resets,
    "unverified registrations": queries.delete_unverified,
    "idempotency keys": queries.delete_keys,
    "limits": queries.delete_limits,
    "schedule runs": queries.delete_runs,
    "mails given up": queries.give_up_mails,
    "job counts": queries.delete_counts,
    "queue depths": queries.delete_depths,
    "words of jobs": queries.delete_words,
}

blueprint = Blueprint()


@blueprint.periodic(cron="0 2 * * *")
@blueprint.job("activelog.cleanup.nightly", queue="low", timeout=6 * 3600, lock="cleanup")
async def nightly(context: Context, timestamp: int | None = None, day: str | None = None) -> None:
    """Deletes what is old; by hand, `day` says as of when (jobs go by the clock). A second run
    finds nothing left to delete."""
    services = of_job(context)
    now = midnight(runs.day_of(None, day, services.clock())) if day else services.clock()
    async with runs.recorded(context, timestamp) as counts:
        counts["accounts"] += await delete_accounts(services, now)
        for what, delete in _TABLES.items():
            counts[what] += await delete_all(services, delete, now)
        counts["expired exports"] += await remove_expired(services, now)
        for prefix in PREFIXES:
            counts["orphaned objects"] += await sweep(services, prefix, now)
        counts["jobs"] += await retire_jobs(services)
        await services.storage.set_rules()
        async with services.pool.connection() as conn:
            await queries.fold_counts(conn)
        _leave_out_zeros(counts)


async def delete_all(services: Services, delete: Delete, now: datetime) -> int:
    total = 0
    while True:
        async with services.pool.connection() as conn:
            deleted = await delete(conn, now, PAGE)
        total += deleted
        if deleted < PAGE:
            return total


async def remove_expired(services: Services, now: datetime) -> int:
    """Objects first: a row whose object is there yet is found again."""
    total = 0
    while True:
        async with services.pool.connection() as conn:
            keys = await queries.expired_exports(conn, now, PAGE)
        if not keys:
            return total
        await services.storage.remove_all(keys)
        async with services.pool.connection() as conn:
            await queries.mark_removed(conn, keys)
        total += len(keys)


async def sweep(services: Services, prefix: str, now: datetime) -> int:
    """Removes objects that no row knows. Those of the last day may belong to a request that is not
    committed yet."""
    total = 0
    async for page in services.storage.walk(prefix, PAGE):
        old = [found.key for found in page if found.modified < now - UPLOADS_MAY_TAKE]
        async with services.pool.connection() as conn:
            orphans = await queries.orphans(conn, old)
        await services.storage.remove_all(orphans)
        total += len(orphans)
    return total


async def delete_accounts(services: Services, now: datetime) -> int:
    """Closes a page of accounts, so that nobody restores what is half gone, then deletes what is
    theirs: traces, activities page by page, objects, and last the rows that would find the rest."""
    total = 0
    while True:
        async with services.pool.connection() as conn:
            user_ids = await queries.close_accounts(conn, now, ACCOUNTS_PAGE)
            if not user_ids:
                return total
            await queries.delete_accounts_traces(conn, user_ids)
            while await queries.delete_accounts_activities(conn, user_ids, PAGE) == PAGE:
                pass
        for user_id in user_ids:
            await _remove_objects(services, user_id)
        async with services.pool.connection() as conn:
            total += await queries.delete_accounts(conn, user_ids)


async def _remove_objects(services: Services, user_id: int) -> None:
    for prefix in PREFIXES:
        async for page in services.storage.walk(f"{prefix}{user_id}/", PAGE):
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


def _leave_out_zeros(counts: Counts) -> None:
    for what in [what for what, number in counts.items() if not number]:
        del counts[what]
