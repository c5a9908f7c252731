import logging

from activelog.cleanup import queries
from activelog.queue import Blueprint, Context
from activelog.services import Services, of_job

PAGE = 1000

blueprint = Blueprint()
logger = logging.getLogger(__name__)


@blueprint.periodic(cron="0 2 * * *")
@blueprint.job("activelog.cleanup.nightly", queue="low", timeout=3600, lock="cleanup")
async def nightly(context: Context, timestamp: int = 0) -> None:
    """Deletes what is old. A second run finds nothing left to delete; by hand it needs no
    timestamp."""
    deleted = await retire_jobs(of_job(context))
    logger.info("Clean-up: %d jobs deleted", deleted)


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
