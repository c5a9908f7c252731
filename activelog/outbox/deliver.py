from typing import Any

from activelog import mail
from activelog.errors import JobError, Permanent
from activelog.mail import Recipient
from activelog.outbox import queries
from activelog.outbox.queries import Claim, Kind
from activelog.services import Services


async def deliver(
    services: Services, kind: Kind, user_id: int, *, occasion: str = "", **data: Any
) -> None:
    """Claims, renders, sends and records one mail. A second run finds it sent and stops.

    Raises Permanent when it can never be sent, JobError when later may be better.
    """
    async with services.pool.connection() as conn:
        recipient = await queries.recipient(conn, user_id)
        if recipient is None:  # the account is gone, and its mails with it
            return
        message_id = mail.make_message_id(services.settings.mail_from)
        claim = await queries.claim(conn, kind, user_id, occasion, message_id)
    if claim is not None:
        await _send(services, kind, claim, recipient, data)


async def _send(
    services: Services, kind: Kind, claim: Claim, recipient: Recipient, data: dict[str, Any]
) -> None:
    try:
        content = services.templates.render(kind.name, {"name": recipient.name, **data})
        message = mail.build(services.settings.mail_from, recipient, claim.message_id, content)
        answer = await services.mailer.send(message)
    except Permanent as error:
        await _record(services, claim, "failed", str(error))
        raise
    except JobError as error:
        async with services.pool.connection() as conn:
            await queries.postpone(conn, claim.id, str(error))
        raise
    await _record(services, claim, "sent", answer, len(message.as_bytes()))


async def _record(
    services: Services, claim: Claim, state: str, answer: str, size: int | None = None
) -> None:
    async with services.pool.connection() as conn:
        await queries.finish(conn, claim.id, state, answer, size)
