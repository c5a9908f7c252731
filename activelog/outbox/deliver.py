from email.message import EmailMessage
from typing import Any

from activelog import mail
from activelog.errors import JobError, Permanent
from activelog.mail import Recipient
from activelog.outbox import queries
from activelog.outbox.queries import Claim, Kind
from activelog.queue import Backoff, Context
from activelog.services import Services, of_job

# Relays are away for longer than a database: 1 minute, 8 minutes, an hour.
PATIENT = Backoff(base=60, factor=8, cap=3600)


async def deliver(
    context: Context, kind: Kind, user_id: int, *, occasion: str = "", **data: Any
) -> None:
    """Claims, renders, sends and records one mail. A second run finds it sent and stops.

    Raises Permanent when it can never be sent, JobError when later may be better.
    """
    services = of_job(context)
    async with services.pool.connection() as conn:
        recipient = await queries.recipient(conn, user_id)
        if recipient is None:  # the account is gone, and its mails with it
            return
        message_id = mail.make_message_id(services.settings.mail_from)
        claim = await queries.claim(conn, kind, user_id, occasion, message_id)
    if claim is None:
        return
    try:
        answer, size = await _send(services, kind, claim, recipient, data)
    except Exception as error:
        await _give_back(services, claim, error, is_last=_is_last(context, error))
        raise _without_address(error, recipient) from None
    async with services.pool.connection() as conn:
        await queries.finish(conn, claim.id, "sent", answer, size)


async def skip(context: Context, kind: Kind, user_id: int, *, occasion: str = "") -> None:
    """The mail was written, but is not to be sent after all."""
    async with of_job(context).pool.connection() as conn:
        await queries.skip(conn, kind, user_id, occasion)


async def _send(
    services: Services, kind: Kind, claim: Claim, recipient: Recipient, data: dict[str, Any]
) -> tuple[str, int]:
    content = services.templates.render(kind.name, {"name": recipient.name, **data})
    message: EmailMessage = mail.build(
        services.settings.mail_from, recipient, claim.message_id, content
    )
    return await services.mailer.send(message), len(message.as_bytes())


async def _give_back(services: Services, claim: Claim, error: Exception, *, is_last: bool) -> None:
    state = "failed" if is_last else "queued"
    async with services.pool.connection() as conn:
        await queries.finish(conn, claim.id, state, str(error), None)


def _is_last(context: Context, error: Exception) -> bool:
    return isinstance(error, Permanent) or context.job.attempts >= PATIENT.retries


def _without_address(error: Exception, recipient: Recipient) -> Exception:
    """Relays repeat the address in their answers; job rows and logs are not the place for it."""
    if not isinstance(error, JobError):
        return error
    return type(error)(str(error).replace(recipient.email, "<recipient>"))
