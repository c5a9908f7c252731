"""Mails: three templates become a message; the message goes to a relay or into a folder."""

import asyncio
import smtplib
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr
from pathlib import Path
from typing import Any, Protocol

import jinja2

from activelog import resources
from activelog.errors import JobError, Permanent
from activelog.settings import Folder, Settings, Smtp

# The stdlib's own line length turns a long List-Unsubscribe URL into an encoded word.
_POLICY = SMTP.clone(max_line_length=998)
_STEP_SECONDS = 20.0  # for every answer of the relay
_IDLE_SECONDS = 20.0
_MAILS_PER_CONNECTION = 100


class MailDelayed(JobError):
    """The relay is away or says "later": worth another run."""


class MailRefused(Permanent):
    """The relay says "never"."""


@dataclass(frozen=True)
class Recipient:
    name: str
    email: str


class Templates:
    """`templates/mail/<kind>/{subject.txt,body.txt,body.html}`; `override` holds single files
    that win over ours and are read again when they change."""

    def __init__(self, override: Path | None, base_url: str) -> None:
        folders = [override] if override else []
        folders.append(resources.folder("templates") / "mail")
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folders),
            autoescape=jinja2.select_autoescape(["html"]),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["base_url"] = base_url

    def render(self, kind: str, data: Mapping[str, Any]) -> tuple[str, str, str]:
        """Subject, text and HTML. A template error is Permanent and names template and line."""
        try:
            subject, text, html = (
                self._environment.get_template(f"{kind}/{part}").render(data)
                for part in ("subject.txt", "body.txt", "body.html")
            )
        except jinja2.TemplateSyntaxError as error:
            raise Permanent(
                f"template {error.name}, line {error.lineno}: {error.message}"
            ) from error
        except jinja2.TemplateError as error:
            raise Permanent(f"template of {kind}: {error.message}") from error
        return " ".join(subject.split()), text, html


def make_message_id(mail_from: str) -> str:
    domain = parseaddr(mail_from)[1].rpartition("@")[2]
    return make_msgid(domain=domain)


def build(
    sender: str, recipient: Recipient, message_id: str, content: tuple[str, str, str]
) -> EmailMessage:
    """A multipart message; its Message-ID is the caller's, so that a retry repeats it."""
    subject, text, html = content
    name, address = parseaddr(sender)
    message = EmailMessage(policy=_POLICY)
    message["From"] = Address(display_name=name, addr_spec=address)
    message["To"] = Address(display_name=recipient.name, addr_spec=recipient.email)
    message["Subject"] = subject
    message["Message-ID"] = message_id
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    return message


class Mailer(Protocol):
    async def send(self, message: EmailMessage) -> str:
        """Returns the relay's last answer. Raises MailDelayed or MailRefused."""

    def close(self) -> None: ...


def make_mailer(settings: Settings) -> Mailer:
    if isinstance(settings.mail, Smtp):
        return SmtpMailer(settings.mail)
    return FolderMailer(settings.mail)


class FolderMailer:
    """A `.eml` file for each Message-ID: sending it again replaces it."""

    def __init__(self, settings: Folder) -> None:
        self._folder = settings.path

    async def send(self, message: EmailMessage) -> str:
        name = str(message["Message-ID"]).strip("<>").replace("/", "_")
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{name}"
        unfinished.write_bytes(message.as_bytes())
        unfinished.replace(self._folder / f"{name}.eml")
        return f"written to {name}.eml"

    def close(self) -> None:
        pass


@dataclass
class _Connection:
    smtp: smtplib.SMTP
    sent: int
    used_at: float


class SmtpMailer:
    """Connections are reused and kept for a while; a broken one is replaced at the next mail."""

    def __init__(self, settings: Smtp) -> None:
        self._settings = settings
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()

    async def send(self, message: EmailMessage) -> str:
        return await asyncio.to_thread(self._send, message)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            _quit(connection.smtp)

    def _send(self, message: EmailMessage) -> str:
        try:
            connection = self._take()
            try:
                answer = _transfer(connection.smtp, message)
            except BaseException:
                connection.smtp.close()
                raise
        except (smtplib.SMTPException, OSError) as error:
            raise _sorted_out(error) from error
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
        context = ssl.create_default_context()
        smtp: smtplib.SMTP
        if wanted.security == "tls":
            smtp = smtplib.SMTP_SSL(
                wanted.host, wanted.port, timeout=_STEP_SECONDS, context=context
            )
        else:
            smtp = smtplib.SMTP(wanted.host, wanted.port, timeout=_STEP_SECONDS)
        try:
            if wanted.security == "starttls":
                smtp.starttls(context=context)
            if wanted.user is not None:
                smtp.login(wanted.user, wanted.password or "")
        except BaseException:
            smtp.close()
            raise
        return smtp


def _transfer(smtp: smtplib.SMTP, message: EmailMessage) -> str:
    sender = message["From"].addresses[0].addr_spec
    to = message["To"].addresses[0].addr_spec
    smtp.ehlo_or_helo_if_needed()
    _expect("MAIL", smtp.mail(sender))
    _expect("RCPT", smtp.rcpt(to))
    return _expect("DATA", smtp.data(message.as_bytes()))


def _expect(step: str, reply: tuple[int, bytes]) -> str:
    code, answer = reply
    if code not in (250, 251):
        raise smtplib.SMTPResponseException(code, f"{step}: {_text(answer)}")
    return f"{code} {_text(answer)}"


def _is_alive(connection: _Connection) -> bool:
    if time.monotonic() - connection.used_at > _IDLE_SECONDS:
        return False
    try:
        return connection.smtp.noop()[0] == 250
    except (smtplib.SMTPException, OSError):
        return False


def _quit(smtp: smtplib.SMTP) -> None:
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()


def _sorted_out(error: Exception) -> JobError:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        # Wrong credentials are ours to mend; the mail is fine and must not be lost.
        return MailDelayed("the mail relay does not accept our credentials")
    if isinstance(error, smtplib.SMTPResponseException):
        answer = f"{error.smtp_code} {_text(error.smtp_error)}"
        return MailRefused(answer) if _is_about_the_mail(error) else MailDelayed(answer)
    return MailDelayed(f"the mail relay is away: {type(error).__name__}")


def _is_about_the_mail(error: smtplib.SMTPResponseException) -> bool:
    """A 5xx before RCPT refuses us and not the mail: our set-up is to mend, and the mail waits."""
    before = isinstance(error, smtplib.SMTPConnectError | smtplib.SMTPHeloError)
    return error.smtp_code >= 500 and not before and _text(error.smtp_error)[:4] != "MAIL"


def _text(answer: bytes | str) -> str:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    return " ".join(text.split())[:500]
