import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from activelog import mail
from activelog.errors import JobError, Permanent, Postponed
from activelog.mail import MailRefused, Message, Recipient
from activelog.outbox import queries
from activelog.outbox.links import unsubscribe_headers, unsubscribe_url
from activelog.outbox.model import Claim, Kind, MailWanted, Outcome
from activelog.queue import Backoff, Context
from activelog.services import Services, of_job

# Relays are away for longer than a database: 1 minute, 8 minutes, an hour.
PATIENT = Backoff(base=60, factor=8, cap=3600)
TIMEOUT = 240.0  # seconds; longer than the relay may take for all of its answers
_TURN_PATIENCE = 2.0  # seconds that a mail waits in its slot for its turn under the rate limit
_NOT_YET = 5.0  # seconds until it asks again

logger = logging.getLogger(__name__)

Load = Callable[[Claim], Awaitable[Mapping[str, Any] | None]]


async def deliver(
    context: Context,
    kind: Kind,
    user_id: int,
    *,
    occasion: str = "",
    load: Load | None = None,
    **data: Any,
) -> bool:
    """Claims, renders, sends and records one mail; True when this run sent it. A second run finds
    it sent and stops, and so does another job that comes while it is being sent.

    `load` reads what the mail tells once it is sure that it is wanted; None means that there is
    nothing to tell. Raises Permanent when it can never be sent, JobError when later may be better.
    """
    services = of_job(context)
    message_id = mail.make_message_id(services.settings.mail_from)
    wanted = MailWanted(kind, user_id, occasion, context.job.id or 0, message_id)
    claim = await services.together(queries.claim, wanted)
    if claim is None or claim.state != "sending":
        return False
    try:
        if load is not None:
            loaded = await load(claim)
            if loaded is None:
                skipped = Outcome(claim.id, "skipped", "nothing to tell")
                await services.together(queries.finish, skipped)
                return False
            data |= loaded
        message = _compose(services, kind, claim, user_id, data)
        await _await_turn(services)
        answer = await services.mailer.send(message)
    except Postponed:
        async with services.pool.connection() as conn:
            await queries.unclaim(conn, claim.id)
        raise
    except Exception as error:
        await _give_back(services, claim, error, is_last=_is_last(context, error))
        raise _without_address(error, claim.email) from None
    await services.together(queries.finish, Outcome(claim.id, "sent", answer, len(message.data)))
    logger.info("Mail %d (%s) to user %d sent, %s", claim.id, kind.name, user_id, claim.message_id)
    return True


async def skip(context: Context, kind: Kind, user_id: int, *, occasion: str = "") -> None:
    """The mail was written, but is not to be sent after all."""
    async with of_job(context).pool.connection() as conn:
        await queries.skip(conn, kind, user_id, occasion)


def _compose(
    services: Services, kind: Kind, claim: Claim, user_id: int, data: Mapping[str, Any]
) -> Message:
    url = unsubscribe_url(services.settings, user_id, kind)
    content = services.templates.render(
        kind.name, {"name": claim.name, "unsubscribe_url": url, **data}
    )
    recipient = Recipient(claim.name, claim.email)
    headers = unsubscribe_headers(url)
    return mail.compose(services.settings.mail_from, recipient, claim.message_id, content, headers)


async def _await_turn(services: Services) -> None:
    """Under the rate limit that all workers share. Raises Postponed when it is far off."""
    per_second = services.settings.mails_per_second
    if per_second is None:
        return
    async with services.pool.connection() as conn:
        seconds = await queries.take_turn(conn, per_second, _TURN_PATIENCE)
    if seconds is None:
        raise Postponed("mails go out as fast as they may", _NOT_YET)
    await asyncio.sleep(seconds)


async def _give_back(services: Services, claim: Claim, error: Exception, *, is_last: bool) -> None:
    state = "failed" if is_last else "queued"
    await services.together(queries.finish, Outcome(claim.id, state, str(error)))
    if isinstance(error, MailRefused) and error.dead_mailbox:
        async with services.pool.connection() as conn:
            await queries.suppress(conn, claim.email, str(error))


def _is_last(context: Context, error: Exception) -> bool:
    return isinstance(error, Permanent) or context.job.attempts >= PATIENT.retries


def _without_address(error: Exception, address: str) -> Exception:
    """Relays repeat the address in their answers; job rows and logs are not the place for it."""
    if not isinstance(error, JobError):
        return error
    text = re.sub(re.escape(address), "<recipient>", str(error), flags=re.IGNORECASE)
    return Permanent(text) if isinstance(error, Permanent) else JobError(text)
