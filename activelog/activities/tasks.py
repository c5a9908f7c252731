import os
from uuid import UUID

from activelog.activities import queries
from activelog.activities.importing import import_file
from activelog.queue import Blueprint, Context
from activelog.services import of_job
from activelog.tickets import working

blueprint = Blueprint()


@blueprint.job("activelog.activities.import_csv", queue="low", timeout=1800)
async def import_csv(context: Context, ticket_id: str) -> None:
    """Imports an uploaded file. It is one transaction with the ticket's completion, so a second
    run finds the ticket complete, or nothing of the first one."""
    services = of_job(context)
    async with working(services, ticket_id, "import activities") as work:
        if work is None:
            return
        async with services.pool.connection() as conn:
            key = await queries.import_key(conn, UUID(ticket_id))
        async with services.storage.open(key) as file:
            size = os.fstat(file.fileno()).st_size
            await import_file(work, file, size)
        await services.storage.remove(key)
