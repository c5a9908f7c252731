import os
from uuid import UUID

from procrastinate.exceptions import JobAborted

from activelog.base.errors import Permanent
from activelog.imports import queries
from activelog.imports.importing import import_file
from activelog.imports.model import Import
from activelog.queue import Blueprint, Context
from activelog.services import of_job
from activelog.storage import ObjectMissing
from activelog.tickets import TrackedJob, tracking

blueprint = Blueprint()


@blueprint.job("activelog.activities.import_csv", queue="low", timeout=1800)
async def import_csv(context: Context, ticket_id: str) -> None:
    """Imports an uploaded file. It is one transaction with the ticket's completion, so a second
    run finds the ticket complete, or nothing of the first one."""
    services = of_job(context)
    async with services.pool.connection() as conn:
        wanted = await queries.get(conn, UUID(ticket_id))
    if wanted is None:  # the account is gone
        return
    try:
        async with tracking(services, ticket_id, "import activities") as job:
            if job is not None:
                await _import(job, wanted)
    except (Permanent, JobAborted):
        await services.storage.remove(wanted.object_key)
        raise
    await services.storage.remove(wanted.object_key)


async def _import(job: TrackedJob, wanted: Import) -> None:
    try:
        async with job.services.storage.open(wanted.object_key) as file:
            size = os.fstat(file.fileno()).st_size
            completed = await import_file(job, file, size, wanted)
            if not completed and await job.is_cancelled():
                raise JobAborted
    except ObjectMissing:
        raise Permanent("the uploaded file is gone") from None
