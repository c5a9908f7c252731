from datetime import datetime
from uuid import UUID

from activelog import outbox
from activelog.accounts import queries
from activelog.accounts.mails import (
    ALREADY_REGISTERED,
    DELETION,
    PASSWORD_RESET,
    VERIFICATION,
    WELCOME,
    reset_token,
    verification_token,
)
from activelog.accounts.model import Pending
from activelog.outbox import PATIENT, TIMEOUT
from activelog.queue import Blueprint, Context
from activelog.services import of_job

blueprint = Blueprint()


@blueprint.job(WELCOME.task, queue=WELCOME.queue, timeout=TIMEOUT, retry=PATIENT)
async def welcome(context: Context, user_id: int) -> None:
    """Greets a new user, unless the address has an account already. A second run finds the mail
    sent or skipped."""
    await outbox.deliver(context, WELCOME, user_id)


@blueprint.job(VERIFICATION.task, queue=VERIFICATION.queue, timeout=TIMEOUT, retry=PATIENT)
async def verification(context: Context, user_id: int, verification_id: str) -> None:
    """Mails the link that verifies an address; to the owner of one that has its account already
    a note instead, once a day at most. A second run finds the mail sent or skipped; a link that
    was used or is too old is not mailed at all."""
    services = of_job(context)
    pending = await _pending(context, user_id)
    async with services.pool.connection() as conn:
        is_open = await queries.verification_is_open(conn, UUID(verification_id))
    if is_open:
        token = verification_token(services, UUID(verification_id))
        await outbox.deliver(context, VERIFICATION, user_id, occasion=verification_id, token=token)
    else:
        await outbox.skip(context, VERIFICATION, user_id, occasion=verification_id)
    if pending is not None and pending.owner_id is not None:
        day = services.clock().date().isoformat()
        await outbox.deliver(context, ALREADY_REGISTERED, pending.owner_id, occasion=day)


@blueprint.job(PASSWORD_RESET.task, queue=PASSWORD_RESET.queue, timeout=TIMEOUT, retry=PATIENT)
async def password_reset(context: Context, user_id: int, reset_id: str) -> None:
    """Mails the link with which somebody chooses a new password. A second run finds the mail sent;
    a link that was used or is too old is not mailed."""
    services = of_job(context)
    async with services.pool.connection() as conn:
        is_open = await queries.reset_is_open(conn, UUID(reset_id))
    if not is_open:
        await outbox.skip(context, PASSWORD_RESET, user_id, occasion=reset_id)
        return
    token = reset_token(services, UUID(reset_id))
    await outbox.deliver(context, PASSWORD_RESET, user_id, occasion=reset_id, token=token)


@blueprint.job(DELETION.task, queue=DELETION.queue, timeout=TIMEOUT, retry=PATIENT)
async def deletion(context: Context, user_id: int, occasion: str) -> None:
    """Mails that an account will be deleted, and how to keep it. A second run finds the mail
    sent."""
    at = datetime.fromisoformat(occasion)
    await outbox.deliver(context, DELETION, user_id, occasion=occasion, at=at)


async def _pending(context: Context, user_id: int) -> Pending | None:
    async with of_job(context).pool.connection() as conn:
        return await queries.pending(conn, user_id)
