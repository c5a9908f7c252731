"""One connection to a mail relay: the standard library's smtplib, with an envelope in one round
trip where the relay announces PIPELINING (RFC 2920), and with its mail in the same one where it
announces CHUNKING, too (RFC 3030). It blocks; relay.py calls it in threads."""

import re
import select
import smtplib
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from activelog.base.settings import Smtp
from activelog.mail.message import Message

STEP_SECONDS = 20.0  # for connecting, for TLS and for every answer
# A relay that scans a mail before it takes it needs time, and who gives up sends the mail twice.
# (RFC 5321 wants ten minutes here, which would hold a slot for too long.)
CONTENT_SECONDS = 120.0
_COMMANDS = (("MAIL", (250,)), ("RCPT", (250, 251)), ("DATA", (354,)))


# Relays quote addresses, and filters quote the mail with its links: a link holds a token.
_PRIVATE = re.compile(r"\S*(?:@|://|www\.|%[0-9a-f]{2}|[?&]\w+=)\S*|\S{40,}", re.IGNORECASE)
_ANSWER_LENGTH = 300


class Answer(NamedTuple):
    """Of a relay. `code` is -1 for what is no answer of SMTP."""

    code: int
    said: bytes

    @property
    def text(self) -> str:
        """As it can be kept in rows and logs: without addresses, links and long words."""
        return without_private_words(self.said.decode(errors="replace"))[:_ANSWER_LENGTH]


def without_private_words(text: str) -> str:
    """On one line, without addresses, links and long words."""
    return _PRIVATE.sub("(…)", " ".join(text.replace("\0", " ").split()))


class Refused(Exception):
    """The relay's answer that ended a step; the connection is good."""

    def __init__(self, step: str, answer: Answer) -> None:
        super().__init__(f"{answer.code} {step}: {answer.text}")
        self.step, self.code, self.text = step, answer.code, answer.text


class Lost(Exception):
    """The connection is of no use any more. `before_content`: no mail that was handed over on it
    waits for its answer. `answer`: with which the relay ended it."""

    def __init__(
        self, reason: str, *, before_content: bool = True, answer: Answer | None = None
    ) -> None:
        super().__init__(reason)
        self.before_content = before_content
        self.answer = answer


class _Lines:
    """What smtplib reads answers from: each of their lines is there before `deadline`, or it
    raises TimeoutError. (A time limit of the socket begins anew with each byte.)"""

    def __init__(self, sock: socket.socket) -> None:
        self.deadline = 0.0  # by the monotonic clock
        self._sock = sock
        self._read = b""

    def readline(self, size: int) -> bytes:
        while b"\n" not in self._read and len(self._read) < size:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
            received = self._sock.recv(4096)
            if not received:
                break
            self._read += received
        end = min(self._read.find(b"\n") + 1 or size, size)
        line, self._read = self._read[:end], self._read[end:]
        return line

    def close(self) -> None:
        self._read = b""


class _Deadlines(smtplib.SMTP):
    """Each answer has `seconds` to come, all of it; STEP_SECONDS while nothing else is said."""

    seconds: float | None = None
    file: _Lines | None

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Lines(self.sock)
        if self.file is not None:
            self.file.deadline = time.monotonic() + (self.seconds or STEP_SECONDS)
        return super().getreply()


class _Encrypted(_Deadlines, smtplib.SMTP_SSL):
    pass


class Connection:
    def __init__(self, relay: Smtp) -> None:
        """Greeted, encrypted as `relay` wants it, and signed in. Raises Lost or Refused."""
        self._relay = relay
        with _losses():
            self._smtp = _connected(relay)
            try:
                self._begin()
            except BaseException:
                self._smtp.close()
                raise

    def transfer(self, message: Message) -> str:
        """Hands a mail over; returns the relay's answer. Raises Refused or Lost."""
        if self._can("pipelining") and self._can("chunking"):
            with _losses(before_content=False):
                answer = self._send_at_once(message)
        else:
            with _losses():
                self._announce(message)
            with _losses(before_content=False):
                self._smtp.send(message.data.replace(b"\r\n.", b"\r\n..") + b".\r\n")
                answer = self._answer(CONTENT_SECONDS)
        if answer.code == 421:
            raise Lost(f"421 final dot: {answer.text}", before_content=False, answer=answer)
        _good("final dot", answer, 250)
        return f"{answer.code} {answer.text}"

    @property
    def is_open(self) -> bool:
        return self._smtp.sock is not None

    def has_news(self) -> bool:
        """The relay said something unasked: most likely goodbye."""
        sock, poll = self._smtp.sock, select.poll()
        if sock is None:
            return True
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))

    def is_alive(self) -> bool:
        try:
            with _losses():
                return self._say("NOOP").code == 250
        except Lost:
            return False

    def quit(self) -> None:
        """Says goodbye and does not wait for an answer."""
        with suppress(OSError):
            self._smtp.putcmd("QUIT")
        self._smtp.close()

    def abort(self) -> None:
        """Whatever thread waits for the relay waits no longer."""
        sock = self._smtp.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    # The beginning

    def _begin(self) -> None:
        self._hello()
        if self._relay.security == "starttls":
            # (Its context verifies the certificate; smtplib's own does not.)
            _good("STARTTLS", Answer(*self._smtp.starttls(context=_verifying())), 220)
            self._hello()  # what it said before may have been said by somebody else
        if self._relay.user is not None:
            self._sign_in(self._relay.user, self._relay.password or "")

    def _hello(self) -> None:
        name = _own_name(self._smtp)
        if self._smtp.ehlo(name)[0] != 250:
            _good("HELO", Answer(*self._smtp.helo(name)), 250)

    def _sign_in(self, user: str, password: str) -> None:
        """(smtplib's login takes ASCII alone, and CRAM-MD5 before PLAIN.)"""
        if "PLAIN" in self._smtp.esmtp_features.get("auth", "").upper().split():
            both = _base64(f"\0{user}\0{password}")
            answer = self._say(f"AUTH PLAIN {both}")
        else:
            answer = self._say("AUTH LOGIN")
            for secret in (user, password):
                answer = self._say(_base64(secret)) if answer.code == 334 else answer
        _good("AUTH", answer, 235)

    # A mail

    def _send_at_once(self, message: Message) -> Answer:
        """The answer to the mail itself. One without a recipient is refused by any relay."""
        envelope = _lines(*_addresses(message), f"BDAT {len(message.data)} LAST")
        self._smtp.send(envelope.encode() + message.data)
        answers = self._answers(3, CONTENT_SECONDS)
        self._check(answers[:2])
        return answers[2]

    def _announce(self, message: Message) -> None:
        """All that comes before the content; after a bad answer the next mail may follow."""
        self._check(self._envelope(message))

    def _check(self, answers: list[Answer]) -> None:
        for (step, good), answer in zip(_COMMANDS, answers, strict=False):
            if answer.code == 421:
                raise Lost(f"421 {step}: {answer.text}", answer=answer)
            if answer.code in good:
                continue
            with suppress(OSError):  # it may have hung up
                if len(answers) == 3 and answers[2].code == 354:
                    self._say(".")  # DATA was accepted without a recipient: a mail to nobody
                self._say("RSET")
            raise Refused(step, answer)

    def _envelope(self, message: Message) -> list[Answer]:
        """The answers up to the first bad one; in one round trip where the relay lets us."""
        commands = (*_addresses(message), "DATA")
        if self._can("pipelining"):
            self._smtp.send(_lines(*commands))
            return self._answers(len(commands))
        answers = []
        for command, (_, good) in zip(commands, _COMMANDS, strict=True):
            answers.append(self._say(command))
            if answers[-1].code not in good:
                break
        return answers

    def _can(self, extension: str) -> bool:
        return self._smtp.has_extn(extension)

    def _say(self, command: str) -> Answer:
        self._smtp.putcmd(command)
        return self._answer()

    def _answers(self, number: int, seconds: float | None = None) -> list[Answer]:
        """Fewer where the relay hangs up after a bad one, which still holds."""
        answers: list[Answer] = []
        while len(answers) < number and all(one.code != 421 for one in answers):
            try:
                answers.append(self._answer(seconds))
            except smtplib.SMTPServerDisconnected:
                if all(0 < one.code < 400 for one in answers):
                    raise
                break
        return answers

    def _answer(self, seconds: float | None = None) -> Answer:
        self._smtp.seconds = seconds
        return Answer(*self._smtp.getreply())


def _connected(relay: Smtp) -> _Deadlines:
    # (A local_hostname keeps smtplib from asking the resolver for ours; _own_name says it later.)
    if relay.security == "tls":
        return _Encrypted(
            relay.host, relay.port, "localhost", timeout=STEP_SECONDS, context=_verifying()
        )
    return _Deadlines(relay.host, relay.port, "localhost", timeout=STEP_SECONDS)


def _addresses(message: Message) -> tuple[str, str]:
    return f"MAIL FROM:<{message.sender}>", f"RCPT TO:<{message.to}>"


def _lines(*commands: str) -> str:
    return "".join(f"{command}\r\n" for command in commands)


def _own_name(smtp: smtplib.SMTP) -> str:
    """This host's, or its address where it has none that others could know."""
    name = socket.gethostname()
    if "." in name or smtp.sock is None:
        return name
    address = smtp.sock.getsockname()[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _verifying() -> ssl.SSLContext:
    return ssl.create_default_context()


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _good(step: str, answer: Answer, code: int) -> None:
    if answer.code != code:
        raise Refused(step, answer)


@contextmanager
def _losses(*, before_content: bool = True) -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPConnectError as error:
        said = error.smtp_error
        said = said if isinstance(said, bytes) else said.encode()
        raise Refused("greeting", Answer(error.smtp_code, said)) from None
    except smtplib.SMTPServerDisconnected as error:
        reason = "the mail relay went away in the middle"
        raise Lost(reason, before_content=before_content) from error
    except OSError as error:  # smtplib's other exceptions among them
        reason = f"the mail relay is away: {_said(error)}"
        raise Lost(reason, before_content=before_content) from error


def _said(error: OSError) -> str:
    """What an operator needs to know, without addresses and links."""
    name = type(error).__name__
    match error:
        case ssl.SSLCertVerificationError():
            return f"{name}: its certificate does not convince us: {error.verify_message}"
        case smtplib.SMTPNotSupportedError():
            return f"{name}: {error} (smtp+starttls:// needs STARTTLS, a user needs AUTH)"
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=said):
            text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
            return f"{name}: {code} {without_private_words(text)}"
    return name
