"""Writing mails in the transaction that causes them, and delivering them in jobs."""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from activelog.base import traces
from activelog.base.errors import JobError, Permanent, Postponed
from activelog.base.settings import Settings
from activelog.database import Conn, Pool, until_written
from activelog.database.batching import Batcher
from activelog.mail import queries
from activelog.mail.bounces import return_path
from activelog.mail.domains import Domains
from activelog.mail.message import Message, Recipient, compose, domain_of, make_message_id
from activelog.mail.model import Claim, MailKind, MailWanted, Outcome
from activelog.mail.relay import MailDelayed, Mailer, MailRefused, RelayAway
from activelog.mail.signing import Signer
from activelog.mail.templates import Templates
from activelog.mail.unsubscribe import list_headers, unsubscribe_headers, unsubscribe_url
from activelog.queue import Backoff, Context

# Relays are away for longer than a database: 1 minute, 8 minutes, an hour.
PATIENT = Backoff(base=60, factor=8, cap=3600)
TIMEOUT = 240.0  # seconds; longer than the relay may take for all of its answers
# While the relay is away or takes no mail of ours: a try each half an hour, for a day.
_LONG_PAUSE, _MOST_TRIES = 1800.0, 48
# Lanes under the rate limit, and the seconds that a mail of it waits in its slot for its turn.
_LANES = {"critical": 2.0, "default": 0.5, "low": 0.5}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outbox:
    settings: Settings = field(repr=False)
    pool: Pool
    batch: Batcher
    mailer: Mailer
    templates: Templates
    signer: Signer | None = None
    domains: Domains = field(default_factory=Domains, repr=False)

    async def write(
        self,
        conn: Conn,
        kind: MailKind,
        user_id: int,
        dedup_key: str = "",
        *,
        address: str | None = None,
    ) -> None:
        """Writes the mail and defers `kind.task(user_id=…, <kind.key>=dedup_key)` in the caller's
        transaction, unless it was written before. `address`: where it goes, if not to the
        person's."""
        message_id = make_message_id(self.settings.mail_from)
        await queries.write(conn, kind, user_id, dedup_key, message_id, address)

    async def write_gathered(
        self, conn: Conn, kind: MailKind, user_id: int, dedup_key: str, pause: timedelta
    ) -> bool:
        """As write, unless a mail of the kind to this person waits: it tells all that is new by
        then. The first one leaves at once, each other one `pause` after the one before."""
        message_id = make_message_id(self.settings.mail_from)
        return await queries.write_gathered(conn, kind, user_id, dedup_key, message_id, pause)

    async def write_digests(
        self,
        conn: Conn,
        kind: MailKind,
        user_ids: Sequence[int],
        dedup_key: str,
        delay: timedelta,
    ) -> None:
        """Writes a mail to each user who has none of the kind waiting, and defers its task for
        `delay` later: it tells all that is new by then."""
        domain = domain_of(self.settings.mail_from)
        await queries.write_digests(conn, kind, user_ids, dedup_key, delay, domain)

    async def deliver(
        self, context: Context, kind: MailKind, user_id: int, dedup_key: str = ""
    ) -> bool:
        """Claims, renders, sends and records one mail; True when this run sent it. A second run
        finds it sent and stops, and so does another job that comes while it is being sent.

        Raises Permanent when it can never be sent, JobError when later may be better.
        """
        message_id = make_message_id(self.settings.mail_from)
        wanted = MailWanted(kind, user_id, dedup_key, context.job.id or 0, message_id)
        claim = await self.batch(queries.claim, wanted)
        if claim is None or claim.state != "sending":
            return False
        try:
            content = await _content(context, kind, claim)
            if content is None:
                skipped = Outcome(claim.id, "skipped", "nothing to tell", attempts=claim.attempts)
                await self._finish(skipped)
                return False
            message = await self._signed(self._compose(kind, claim, content))
            await self._await_turn(kind, claim)
            await self.domains.await_turn(self.pool, kind, claim.id, claim.email)
            with traces.span("mail", "CLIENT", attributes={"activelog.mail.kind": kind.name}):
                answer = await self.mailer.send(message)
        except Postponed:
            async with self.pool.connection() as conn:
                await queries.unclaim(conn, claim.id, claim.attempts)
            raise
        except Exception as error:
            if isinstance(error, MailRefused):
                error = await self._judge(claim, error)
            elif isinstance(error, RelayAway) and context.job.attempts >= PATIENT.retries:
                error = _much_later(claim, error)
            await self._give_back(claim, error, is_last=_is_last(context, error))
            raise error from error.__cause__
        await self._finish(Outcome(claim.id, "sent", answer, len(message.data)))
        await self._note_taken(claim)
        logger.info(
            "Mail %d (%s) to user %d sent, %s", claim.id, kind.name, user_id, claim.message_id
        )
        return True

    def close(self) -> None:
        self.mailer.close()

    def _compose(self, kind: MailKind, claim: Claim, content: Mapping[str, Any]) -> Message:
        url = unsubscribe_url(self.settings, claim.user_id, kind)
        shared = {
            "name": claim.name,
            "units": claim.units,
            "reason": kind.reason,
            "unsubscribe_url": url,
        }
        data = {**shared, **content}
        texts = self.templates.render(kind.name, data, claim.language, kind.fixture)
        recipient = Recipient(claim.name, claim.email)
        mail_from = self.settings.mail_from
        headers = unsubscribe_headers(url) | list_headers(kind, domain_of(mail_from))
        back = self._return_path(claim.id)
        return compose(mail_from, recipient, claim.message_id, texts, headers, back)

    async def _signed(self, message: Message) -> Message:
        if self.signer is None:
            return message
        return replace(message, data=await asyncio.to_thread(self.signer.sign, message.data))

    def _return_path(self, mail_id: int) -> str | None:
        """Of this mail alone, so that a bounce tells which one it is."""
        if self.settings.bounces is None:
            return None
        return return_path(self.settings.secret, self.settings.bounces, mail_id)

    async def _await_turn(self, kind: MailKind, claim: Claim) -> None:
        """Under the rate limit that all workers share. Raises Postponed, until its turn, when that
        is far off."""
        per_second = self.settings.mails_per_second
        if per_second is None:
            return
        lane = kind.queue if kind.queue in _LANES else "default"
        patience = _LANES[lane]
        async with self.pool.connection() as conn:
            seconds = await queries.take_turn(conn, claim.id, lane, per_second, patience)
        if seconds > patience:
            raise Postponed("the rate limit for mails is reached", seconds)
        await asyncio.sleep(seconds)

    async def _judge(self, claim: Claim, refused: MailRefused) -> JobError:
        """The refusal; the address gets no more mails when its mailbox is dead by evidence. While
        most mails are refused, the relay or we are the fault: then the mail waits, for a day."""
        async with self.pool.connection() as conn:
            if await queries.most_are_refused(conn):
                await queries.lift_latest(conn)
                return _much_later(claim, refused)
            if refused.dead_mailbox or (
                refused.may_be_mailbox
                and await queries.is_refused_again(conn, claim.id, claim.email, str(refused))
            ):
                await queries.suppress(conn, claim.email, str(refused))
        return refused

    async def _finish(self, outcome: Outcome) -> None:
        await until_written(lambda: self.batch(queries.finish, outcome))

    async def _note_taken(self, claim: Claim) -> None:
        await self.domains.note_taken(self.pool, claim.email)
        if claim.was_refused:
            async with self.pool.connection() as conn:
                await queries.unsuppress(conn, claim.email)

    async def _give_back(self, claim: Claim, error: Exception, *, is_last: bool) -> None:
        state = "failed" if is_last else "queued"
        await self._finish(Outcome(claim.id, state, str(error), attempts=claim.attempts))
        if isinstance(error, MailDelayed) and error.is_throttled:
            await self.domains.note_throttled(self.pool, claim.email, str(error))


async def _content(context: Context, kind: MailKind, claim: Claim) -> Mapping[str, Any] | None:
    if kind.content is None:
        return {}
    return await kind.content(context.additional_context["services"], claim)


def _much_later(claim: Claim, error: JobError) -> JobError:
    """The relay or we are the fault, and not the mail: it waits, for a day at most."""
    if claim.attempts % _MOST_TRIES == 0:  # sent again by somebody, it has a day more
        return error
    return Postponed(str(error), _LONG_PAUSE * random.uniform(0.5, 1.5))  # noqa: S311


def _is_last(context: Context, error: Exception) -> bool:
    if isinstance(error, Postponed):
        return False
    return isinstance(error, Permanent) or context.job.attempts >= PATIENT.retries
