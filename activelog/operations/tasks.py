from typing import Any

import msgspec

from activelog import database, schedules, tickets
from activelog.base.formatting import counted
from activelog.operations import admin, bounces
from activelog.operations.model import Action, JobFilter
from activelog.queue import Blueprint, Context
from activelog.services import of_job
from activelog.tickets import tracking

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
    async with tracking(services, ticket_id, f"{action} jobs") as job:
        if job is None:
            return
        first = after
        while True:
            async with database.transaction(services.pool) as conn:
                ids = await admin.matching(conn, chosen, after, until, PAGE)
                acted = await admin.act(conn, action, ids) if ids else []
                done = await tickets.add_done(conn, job.ticket_id, len(acted))
            if len(ids) < PAGE:
                break
            after = ids[-1]
            share = 100 * (after - first) // max(until - first, 1)
            await job.report(min(99, share), counted(done, "jobs"))
        async with database.transaction(services.pool) as conn:
            await tickets.complete(
                conn, job.ticket_id, message=counted(done, "jobs"), result={}, days=None
            )


@blueprint.job("activelog.mails.bounces", queue="low", timeout=600, lock="bounces")
async def read_bounces(
    context: Context, timestamp: int | None = None, day: str | None = None
) -> None:
    """Takes in what lies in the mailbox of mails that came back; `jobs.py` gives it a schedule when
    there is one. A second run finds the messages marked, and what they say kept."""
    services = of_job(context)
    async with schedules.recorded(context, timestamp) as counts:
        if services.settings.bounces_mailbox is None:
            counts.skipped = True
            return
        said = await bounces.take_from(
            services.pool, services.settings, services.settings.bounces_mailbox
        )
        counts.update(line.partition(":")[0].partition(",")[0] for line in said)
