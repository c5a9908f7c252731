from uuid import UUID

from activelog import outbox
from activelog.accounts import queries
from activelog.accounts.mails import (
    ALREADY_REGISTERED,
    VERIFICATION,
    WELCOME,
    verification_token,
)
from activelog.queue import Blueprint, Context
from activelog.services import of_job

blueprint = Blueprint()


@blueprint.job(WELCOME.task, queue=WELCOME.queue, timeout=90)
async def welcome(context: Context, user_id: int) -> None:
    """Greets a new user. A second run finds the mail sent."""
    await outbox.deliver(of_job(context), WELCOME, user_id)


@blueprint.job(VERIFICATION.task, queue=VERIFICATION.queue, timeout=90)
async def verification(context: Context, user_id: int, verification_id: str) -> None:
    """Mails the link that verifies an address. A second run finds the mail sent; a link that was
    used or is too old is not mailed at all."""
    services = of_job(context)
    async with services.pool.connection() as conn:
        if not await queries.verification_is_open(conn, UUID(verification_id)):
            return
    token = verification_token(services, UUID(verification_id))
    await outbox.deliver(services, VERIFICATION, user_id, occasion=verification_id, token=token)


@blueprint.job(ALREADY_REGISTERED.task, queue=ALREADY_REGISTERED.queue, timeout=90)
async def already_registered(context: Context, user_id: int, day: str) -> None:
    """Tells an owner that somebody registered their address again. A second run of the same day
    finds the mail sent."""
    await outbox.deliver(of_job(context), ALREADY_REGISTERED, user_id, occasion=day)
