"""Where messages go: to a relay over SMTP, or into a folder as .eml files."""

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Protocol

from activelog.base.errors import JobError, Permanent
from activelog.base.settings import Folder, Settings, Smtp
from activelog.mail.message import Message
from activelog.mail.model import DEAD_MAILBOX
from activelog.mail.smtp import Answer, Connection, Lost, Refused

_IDLE_SECONDS = 20.0
_FRESH_SECONDS = 1.0  # a connection that was used so lately is not asked whether it lives
_MAILS_PER_CONNECTION = 100
_LONG_SILENCE, _SILENT_SECONDS = 5.0, 60.0  # after so long in vain, nobody connects for a minute

_TOO_MUCH = re.compile(r"too many|too fast|rate limit|throttl|unusual(?:ly)? rate", re.IGNORECASE)
_ENHANCED = re.compile(r"^(5\.\d{1,3}\.\d{1,3})\b|\(#(5\.\d{1,3}\.\d{1,3})\)")


class MailDelayed(JobError):
    """The relay is away or says "later": worth another run. `is_throttled`: too much came at once
    for that domain."""

    def __init__(self, answer: str, *, is_throttled: bool = False) -> None:
        super().__init__(answer)
        self.is_throttled = is_throttled


class RelayAway(MailDelayed):
    """Or it takes no mail of ours at all: that is for us to mend, and may take hours."""


class MailRefused(Permanent):
    """The relay says "never"; `dead_mailbox`: to everything that is sent to that address;
    `may_be_mailbox`: perhaps so, or it refuses us."""

    def __init__(
        self, answer: str, *, dead_mailbox: bool = False, may_be_mailbox: bool = False
    ) -> None:
        super().__init__(answer)
        self.dead_mailbox = dead_mailbox
        self.may_be_mailbox = may_be_mailbox


class Mailer(Protocol):
    async def send(self, message: Message) -> str:
        """Returns the relay's last answer. Raises MailDelayed or MailRefused."""

    async def check(self) -> str | None:
        """What keeps mails from leaving, in words for people; None when nothing does."""

    def close(self) -> None: ...


def make_mailer(settings: Settings) -> Mailer:
    if isinstance(settings.mail, Smtp):
        return SmtpMailer(settings.mail)
    return FolderMailer(settings.mail)


class FolderMailer:
    """A `.eml` file for each Message-ID: sending it again replaces it."""

    def __init__(self, settings: Folder) -> None:
        self._folder = settings.path

    async def send(self, message: Message) -> str:
        name = message.message_id.strip("<>").replace("/", "_")
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{name}"
        unfinished.write_bytes(message.data)
        unfinished.replace(self._folder / f"{name}.eml")
        return f"written to {name}.eml"

    async def check(self) -> str | None:
        probe = self._folder / ".probe"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            return f"{error.strerror}: look at ACTIVELOG_SMTP_URL, {self._folder} must be writable"
        return None

    def close(self) -> None:
        pass


@dataclass
class _Pooled:
    connection: Connection
    sent: int = 0
    used_at: float = field(default_factory=time.monotonic)

    @property
    def unused_for(self) -> float:
        """Seconds."""
        return time.monotonic() - self.used_at


class SmtpMailer:
    """Connections are reused, and closed when they were idle for twenty seconds; a broken one is
    replaced at the next mail. There are as many as mails are sent at once, each in a thread."""

    def __init__(self, relay: Smtp) -> None:
        self._relay = relay
        self._idle: list[_Pooled] = []  # the one that was used last at the end
        self._closing: asyncio.TimerHandle | None = None
        self._silent_until = 0.0

    async def send(self, message: Message) -> str:
        while True:
            pooled = await self._take()
            try:
                answer = await asyncio.to_thread(pooled.connection.transfer, message)
            except Refused as refused:
                self._put_back(pooled)
                raise _sorted_out(refused) from None
            except Lost as lost:
                pooled.connection.abort()
                if lost.before_content and pooled.sent:
                    continue  # the relay was tired of the connection, not of the mail
                is_throttled = lost.answer is not None and _is_too_much(lost.answer)
                raise MailDelayed(str(lost), is_throttled=is_throttled) from lost.__cause__
            except BaseException:
                pooled.connection.abort()
                raise
            self._put_back(pooled)
            return answer

    async def check(self) -> str | None:
        self._silent_until = 0.0
        try:
            connection = await self._connect()
        except MailDelayed as delayed:
            return f"{delayed}: check ACTIVELOG_SMTP_URL and whether the relay can be reached"
        connection.quit()
        return None

    def close(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
        idle, self._idle = self._idle, []
        for pooled in idle:
            pooled.connection.quit()

    async def _take(self) -> _Pooled:
        while self._idle:
            pooled = self._idle.pop()
            if await self._is_alive(pooled):
                return pooled
            pooled.connection.quit()
        return _Pooled(await self._connect())

    async def _is_alive(self, pooled: _Pooled) -> bool:
        is_fresh = pooled.unused_for < _FRESH_SECONDS and not pooled.connection.has_news()
        return is_fresh or await asyncio.to_thread(pooled.connection.is_alive)

    def _put_back(self, pooled: _Pooled) -> None:
        pooled.sent += 1
        pooled.used_at = time.monotonic()
        if pooled.connection.is_open and pooled.sent < _MAILS_PER_CONNECTION:
            self._idle.append(pooled)
            self._close_idle_ones()
        else:
            pooled.connection.quit()

    def _close_idle_ones(self) -> None:
        """Now, and again when the next one is due."""
        while self._idle and self._idle[0].unused_for > _IDLE_SECONDS:
            self._idle.pop(0).connection.quit()
        if self._idle and self._closing is None:
            seconds = _IDLE_SECONDS - self._idle[0].unused_for
            self._closing = asyncio.get_running_loop().call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._closing = None
        self._close_idle_ones()

    async def _connect(self) -> Connection:
        began = time.monotonic()
        if began < self._silent_until:
            raise RelayAway("the mail relay is away: it was silent a moment ago")
        try:
            return await asyncio.to_thread(Connection, self._relay)
        except Lost as lost:
            # One that swallows all that is sent would hold each slot for so long, again and again.
            if time.monotonic() - began > _LONG_SILENCE:
                self._silent_until = time.monotonic() + _SILENT_SECONDS
            raise RelayAway(str(lost)) from lost.__cause__
        except Refused as refused:
            if refused.step == "AUTH":
                raise RelayAway("the mail relay does not accept our credentials") from None
            raise RelayAway(str(refused)) from None


def _sorted_out(refused: Refused) -> JobError:
    is_throttled = _is_too_much(Answer(refused.code, refused.text.encode()))
    if refused.step == "MAIL" and not is_throttled:
        return RelayAway(str(refused))
    # A full mailbox may have room in an hour.
    if refused.code < 500 or _is_full(refused):
        return MailDelayed(str(refused), is_throttled=is_throttled)
    return MailRefused(
        str(refused),
        dead_mailbox=_enhanced(refused) in DEAD_MAILBOX,
        may_be_mailbox=refused.step == "RCPT" and _enhanced(refused) is None,
    )


def _is_too_much(answer: Answer) -> bool:
    """As Gmail (4.7.28), Outlook, Yahoo and others say that too much comes at once."""
    if answer.code not in (421, 450, 451, 452):
        return False
    return answer.text.startswith("4.7.") or _TOO_MUCH.search(answer.text) is not None


def _is_full(refused: Refused) -> bool:
    enhanced = _enhanced(refused)
    return enhanced == "5.2.2" or (refused.code == 552 and enhanced is None)


def _enhanced(refused: Refused) -> str | None:
    """The code of RFC 3463, at the beginning or where qmail has it: "sorry (#5.7.1)"."""
    found = _ENHANCED.search(refused.text)
    return found and (found[1] or found[2])
