from typing import Any

import msgspec

from activelog import db, tickets
from activelog.monitoring import admin
from activelog.monitoring.model import Action, JobFilter
from activelog.queue import Blueprint, Context
from activelog.services import of_job
from activelog.tickets import working

PAGE = 500

blueprint = Blueprint()


@blueprint.job("activelog.monitoring.bulk", queue="critical", timeout=3600)
async def bulk(
    context: Context,
    ticket_id: str,
    action: Action,
    wanted: dict[str, Any],
    until: int,
    after: int = 0,
) -> None:
    """Does something to all jobs that match among those behind the id `after`, up to `until`: they
    were there when it was asked for. A second run finds those that are left, or does it
    again, which changes nothing."""
    services = of_job(context)
    chosen = msgspec.convert(wanted, JobFilter)
    async with working(services, ticket_id, f"{action} jobs") as work:
        if work is None:
            return
        done, first = 0, after
        while True:
            async with services.pool.connection() as conn:
                ids = await admin.matching(conn, chosen, after, until, PAGE)
                done += await admin.act(conn, action, ids) if ids else 0
            if len(ids) < PAGE:
                break
            after = ids[-1]
            share = 100 * (after - first) // max(until - first, 1)
            await work.report(min(99, share), f"{done:,} jobs")
        async with db.transaction(services.pool) as conn:
            await tickets.complete(
                conn, work.ticket_id, message=f"{done:,} jobs", result={}, days=None
            )
