from uuid import UUID

from activelog import mail
from activelog.accounts import queries
from activelog.accounts.mails import (
    ADDRESS_CHANGE,
    ADDRESS_CHANGED,
    ALREADY_REGISTERED,
    DELETION,
    NEW_SIGN_IN,
    PASSWORD_CHANGED,
    PASSWORD_RESET,
    VERIFICATION,
    WELCOME,
)
from activelog.mail import PATIENT, TIMEOUT
from activelog.queue import Blueprint, Context
from activelog.services import of_job

blueprint = Blueprint()

_CHANGES = (PASSWORD_CHANGED, ADDRESS_CHANGE, ADDRESS_CHANGED, DELETION, NEW_SIGN_IN)
mail.add_mail_jobs(blueprint, WELCOME, *_CHANGES)


@blueprint.job(PASSWORD_RESET.task, queue=PASSWORD_RESET.queue, timeout=TIMEOUT, retry=PATIENT)
async def password_reset(context: Context, reset_id: str, user_id: int | None = None) -> None:
    """Mails the link for a new password to whoever owns the address of the request; perhaps
    nobody does. A second run finds the mail sent or skipped."""
    services = of_job(context)
    if user_id is None:
        async with services.pool.connection() as conn:
            user_id = await queries.find_reset_owner(conn, UUID(reset_id))
            await queries.drop_reset(conn, UUID(reset_id))
    if user_id is not None:
        await services.outbox.deliver(context, PASSWORD_RESET, user_id, reset_id)


@blueprint.job(VERIFICATION.task, queue=VERIFICATION.queue, timeout=TIMEOUT, retry=PATIENT)
async def verification(context: Context, user_id: int, verification_id: str) -> None:
    """Mails the link that verifies an address; to the owner of one that has its account already
    a note instead, once a day at most. A second run finds the mail sent or skipped."""
    services = of_job(context)
    async with services.pool.connection() as conn:
        pending = await queries.pending(conn, user_id)
    await services.outbox.deliver(context, VERIFICATION, user_id, verification_id)
    if pending is not None and pending.owner_id is not None:
        day = services.clock().date().isoformat()
        await services.outbox.deliver(context, ALREADY_REGISTERED, pending.owner_id, day)
