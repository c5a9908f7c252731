"""One export job of a user, in a process of its own: prints bytes, seconds and peak MB."""

import asyncio
import os
import resource
import sys
import time
from uuid import uuid4

from activelog import database, tickets
from activelog.base.settings import Settings
from activelog.exports import queries
from activelog.exports.model import Export
from activelog.exports.tasks import generate
from activelog.jobs import make_app


async def main(user_id: int) -> None:
    settings = Settings.from_env(os.environ)
    app = make_app(settings)
    export_id = uuid4()
    key = f"exports/{user_id}/{export_id}.csv"
    export = Export(export_id, user_id, "csv", {"include_tags": True}, key)
    async with database.make_pool(settings.database_url, max_size=2, application="bench") as pool:
        async with pool.connection() as conn:
            group = tickets.ConcurrencyGroup("bench", limit=1, most_waiting=1)
            opening = tickets.opening(export_id, user_id, "export csv", generate, group)
            await queries.request(conn, export, opening)
        began = time.perf_counter()
        async with app.open_async():
            await app.run_worker_async(wait=False, queues=["low"], install_signal_handlers=False)
        seconds = time.perf_counter() - began
        async with pool.connection() as conn:
            ticket = await tickets.get(conn, export_id, user_id)
    assert ticket is not None
    assert ticket.result is not None, ticket
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(ticket.result["file_size"], seconds, peak)


asyncio.run(main(int(sys.argv[1])))
