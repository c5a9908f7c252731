from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from activelog import outbox
from activelog.db import Conn
from activelog.friends import queries
from activelog.mail import domain_of
from activelog.outbox import PATIENT, TIMEOUT, Claim
from activelog.queue import Blueprint, Context
from activelog.services import Services, of_job

REQUEST = outbox.Kind(
    "friend_request", "activelog.friends.request", "default", list="friend_request", cap=10
)
ACTIVITY = outbox.Kind(
    "friend_activity", "activelog.friends.activity", "default", list="friend_activity", cap=5
)
REQUESTS_GATHER, ACTIVITIES_GATHER = timedelta(minutes=10), timedelta(minutes=30)
_PAGE = 1000

blueprint = Blueprint()


async def write_request(services: Services, conn: Conn, request_id: int, to_id: int) -> None:
    domain = domain_of(services.settings.mail_from)
    await outbox.gather(conn, REQUEST, [to_id], str(request_id), REQUESTS_GATHER, domain)


@blueprint.job(REQUEST.task, queue=REQUEST.queue, timeout=TIMEOUT, retry=PATIENT)
async def request(context: Context, user_id: int, occasion: str) -> None:
    """Mails who wants to be a friend: all that came since the last such mail. A second run finds
    the mail sent, or tells the same."""

    async def load(claim: Claim) -> Mapping[str, Any] | None:
        async with of_job(context).pool.connection() as conn:
            asking = await queries.take_requests(conn, user_id, claim.id)
        names = [one.name for one in asking]
        return {"names": names, "total": asking[0].total} if asking else None

    await outbox.deliver(context, REQUEST, user_id, occasion=occasion, load=load)


@blueprint.job(ACTIVITY.task, queue=ACTIVITY.queue, timeout=TIMEOUT, retry=PATIENT)
async def activity(context: Context, user_id: int, occasion: str) -> None:
    """Mails what friends did since the last such mail. A second run finds the mail sent, or tells
    the same."""

    async def load(claim: Claim) -> Mapping[str, Any] | None:
        async with of_job(context).pool.connection() as conn:
            found = await queries.take_activities(conn, user_id, claim.id)
        return {"activities": found, "total": found[0].total} if found else None

    await outbox.deliver(context, ACTIVITY, user_id, occasion=occasion, load=load)


@blueprint.job("activelog.activities.notify", queue="default", timeout=300)
async def notify(context: Context, activity_id: int) -> None:
    """Tells the friends of an activity's owner, by a notification each and a mail that gathers. A
    second run finds both there. By name it belongs to activities, whose API asks for it."""
    services = of_job(context)
    domain = domain_of(services.settings.mail_from)
    after = 0
    while True:
        async with services.pool.connection() as conn, conn.transaction():
            friends = await queries.notify(conn, activity_id, after, _PAGE)
            await outbox.gather(
                conn, ACTIVITY, friends, str(activity_id), ACTIVITIES_GATHER, domain
            )
        if len(friends) < _PAGE:
            return
        after = friends[-1]
