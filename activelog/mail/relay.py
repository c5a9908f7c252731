"""Where messages go: to a relay over SMTP, or into a folder as .eml files."""

import asyncio
import smtplib
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from activelog.errors import JobError, Permanent
from activelog.mail.message import Message
from activelog.settings import Folder, Settings, Smtp

STEP_SECONDS = 20.0  # for every answer of the relay
_IDLE_SECONDS = 20.0
_FRESH_SECONDS = 1.0  # a connection that was used so lately is not asked whether it lives
_MAILS_PER_CONNECTION = 100
_THREADS = 64

# Answers that are about the mailbox, not about the mail or us (RFC 5321, RFC 3463).
_DEAD_MAILBOX = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1")
_DEAD_CODES = (550, 551, 553)


class MailDelayed(JobError):
    """The relay is away or says "later": worth another run."""


class MailRefused(Permanent):
    """The relay says "never"; `dead_mailbox`: to everything that is sent to that address."""

    def __init__(self, answer: str, *, dead_mailbox: bool = False) -> None:
        super().__init__(answer)
        self.dead_mailbox = dead_mailbox


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
        return None

    def close(self) -> None:
        pass


@dataclass
class _Connection:
    smtp: smtplib.SMTP
    sent: int
    used_at: float


class SmtpMailer:
    """Connections are reused and kept for a while; a broken one is replaced at the next mail.
    There are as many as mails are sent at once."""

    def __init__(self, settings: Smtp) -> None:
        self._settings = settings
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="smtp")

    async def send(self, message: Message) -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._send, message)

    async def check(self) -> str | None:
        try:
            smtp = await asyncio.to_thread(self._connect)
        except (smtplib.SMTPException, OSError) as error:
            return (
                f"{_reason(error)}: check ACTIVELOG_SMTP_URL and whether the relay can be reached"
            )
        _quit(smtp)
        return None

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            _quit(connection.smtp)
        self._threads.shutdown(wait=False)

    def _send(self, message: Message) -> str:
        while True:
            try:
                connection = self._take()
            except (smtplib.SMTPException, OSError) as error:
                raise _reason(error) from error
            try:
                answer = _transfer(connection.smtp, message)
            except _Lost as lost:
                connection.smtp.close()
                if lost.before_content and connection.sent:
                    continue  # the relay was tired of the connection, not of the mail
                raise MailDelayed(str(lost)) from lost.__cause__
            except _Refused as refused:
                self._put_back(connection)
                raise _sorted_out(refused) from None
            except BaseException:
                connection.smtp.close()
                raise
            self._put_back(connection)
            return answer

    def _take(self) -> _Connection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return _Connection(self._connect(), 0, time.monotonic())
            if _is_alive(connection):
                return connection
            _quit(connection.smtp)

    def _put_back(self, connection: _Connection) -> None:
        connection.sent += 1
        connection.used_at = time.monotonic()
        if connection.sent >= _MAILS_PER_CONNECTION:
            _quit(connection.smtp)
            return
        with self._lock:
            self._idle.append(connection)

    def _connect(self) -> smtplib.SMTP:
        wanted = self._settings
        smtp: smtplib.SMTP
        if wanted.security == "tls":
            context = ssl.create_default_context()
            smtp = smtplib.SMTP_SSL(wanted.host, wanted.port, timeout=STEP_SECONDS, context=context)
        else:
            smtp = smtplib.SMTP(wanted.host, wanted.port, timeout=STEP_SECONDS)
        try:
            if wanted.security == "starttls":
                smtp.starttls(context=ssl.create_default_context())
            if wanted.user is not None:
                smtp.login(wanted.user, wanted.password or "")
            smtp.ehlo_or_helo_if_needed()
        except BaseException:
            smtp.close()
            raise
        return smtp


# One mail over one connection

_COMMANDS = (("MAIL", (250,)), ("RCPT", (250, 251)), ("DATA", (354,)))


class _Refused(Exception):
    """The answer that ended a mail, and at which step it came; the connection is good."""

    def __init__(self, step: str, code: int, text: str) -> None:
        super().__init__(f"{code} {step}: {text}")
        self.step, self.code, self.text = step, code, text


class _Lost(Exception):
    """The connection is of no use any more; `before_content`: the mail was not handed over yet."""

    def __init__(self, reason: str, *, before_content: bool) -> None:
        super().__init__(reason)
        self.before_content = before_content


def _transfer(smtp: smtplib.SMTP, message: Message) -> str:
    with _losses(before_content=True):
        answers = _say(smtp, f"MAIL FROM:<{message.sender}>", f"RCPT TO:<{message.to}>", "DATA")
        _check(smtp, answers)
    with _losses(before_content=False):
        smtp.send(smtplib._quote_periods(message.data) + b".\r\n")  # type: ignore[attr-defined]
        code, text = smtp.getreply()
        if code == 421:
            raise _Lost(f"421 final dot: {_text(text)}", before_content=False)
        if code != 250:
            raise _Refused("final dot", code, _text(text))
    return f"{code} {_text(text)}"


def _say(smtp: smtplib.SMTP, *commands: str) -> list[tuple[int, bytes]]:
    """Their answers, up to the first bad one; in one round trip where the relay lets us."""
    if smtp.has_extn("pipelining"):
        smtp.send("".join(f"{command}\r\n" for command in commands).encode("ascii"))
        return [smtp.getreply() for _ in commands]
    answers = []
    for command, (_, good) in zip(commands, _COMMANDS, strict=True):
        answers.append(smtp.docmd(command))
        if answers[-1][0] not in good:
            break
    return answers


def _check(smtp: smtplib.SMTP, answers: list[tuple[int, bytes]]) -> None:
    """Raises _Refused for the first bad answer, with the connection ready for the next mail."""
    for (step, good), (code, text) in zip(_COMMANDS, answers, strict=False):
        if code == 421:
            raise _Lost(f"421 {step}: {_text(text)}", before_content=True)
        if code in good:
            continue
        if len(answers) == 3 and answers[2][0] == 354:
            smtp.send(b".\r\n")  # DATA was accepted without a recipient: an empty mail to nobody
            smtp.getreply()
        smtp.rset()
        raise _Refused(step, code, _text(text))


@contextmanager
def _losses(*, before_content: bool) -> Iterator[None]:
    try:
        yield
    except (smtplib.SMTPException, OSError) as error:
        reason = f"the mail relay went away: {type(error).__name__}"
        raise _Lost(reason, before_content=before_content) from error


def _sorted_out(refused: _Refused) -> JobError:
    # A 5xx at MAIL refuses us and not the mail: our set-up is to mend, and the mail waits.
    if refused.code < 500 or refused.step == "MAIL":
        return MailDelayed(str(refused))
    return MailRefused(str(refused), dead_mailbox=_is_dead_mailbox(refused))


def _is_dead_mailbox(refused: _Refused) -> bool:
    """By the enhanced code where there is one; 5.7.1 and the like refuse a mail, not a mailbox."""
    enhanced = refused.text.split(" ", 1)[0]
    if enhanced.count(".") == 2 and enhanced.replace(".", "").isdigit():
        return enhanced in _DEAD_MAILBOX
    return refused.step == "RCPT" and refused.code in _DEAD_CODES


def _is_alive(connection: _Connection) -> bool:
    unused = time.monotonic() - connection.used_at
    if unused > _IDLE_SECONDS:
        return False
    if unused < _FRESH_SECONDS:
        return True
    try:
        return connection.smtp.noop()[0] == 250
    except (smtplib.SMTPException, OSError):
        return False


def _quit(smtp: smtplib.SMTP) -> None:
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()


def _reason(error: Exception) -> JobError:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        # Wrong credentials are ours to mend; the mail is fine and must not be lost.
        return MailDelayed("the mail relay does not accept our credentials")
    if isinstance(error, smtplib.SMTPResponseException):
        return MailDelayed(f"{error.smtp_code} {_text(error.smtp_error)}")
    return MailDelayed(f"the mail relay is away: {type(error).__name__}")


def _text(answer: bytes | str) -> str:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    return " ".join(text.replace("\0", " ").split())[:500]
