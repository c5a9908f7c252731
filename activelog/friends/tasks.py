from datetime import timedelta

from activelog.friends import queries
from activelog.friends.mails import ACTIVITY, MAILS
from activelog.mail import add_mail_jobs
from activelog.queue import Blueprint, Context
from activelog.services import of_job

DIGEST_DELAY = timedelta(minutes=30)
_PAGE = 1000

blueprint = Blueprint()
add_mail_jobs(blueprint, *MAILS)


@blueprint.job("activelog.activities.notify", queue="default", timeout=300)
async def notify(context: Context, activity_id: int) -> None:
    """Tells the friends of an activity's owner, by a notification each and a digest. A second run
    finds both there. By name it belongs to activities, which defer it for whoever has followers."""
    services = of_job(context)
    after = 0
    while True:
        async with services.pool.connection() as conn, conn.transaction():
            friends = await queries.notify(conn, activity_id, after, _PAGE)
            await services.outbox.write_digests(
                conn, ACTIVITY, friends, str(activity_id), DIGEST_DELAY
            )
        if len(friends) < _PAGE:
            return
        after = friends[-1]
