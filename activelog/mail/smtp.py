"""One connection to a mail relay, on the event loop (RFC 5321, 2920, 3207, 4954).

smtplib blocks, so every mail that is under way needs a thread, and each thread waits for the
interpreter after every answer of the relay: sixteen of them sent half as many mails a second as
this does.
"""

import asyncio
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import cast

from activelog.mail.message import Message
from activelog.settings import Smtp

STEP_SECONDS = 20.0  # for connecting, for TLS and for every answer
# A relay that scans a mail before it takes it needs time, and who gives up sends the mail twice.
# (RFC 5321 wants ten minutes here, which would hold a slot for too long.)
CONTENT_SECONDS = 120.0
_LONGEST_ANSWER = 65_536  # bytes
_COMMANDS = (("MAIL", (250,)), ("RCPT", (250, 251)), ("DATA", (354,)))


class Refused(Exception):
    """The relay's answer that ended a step; the connection is good."""

    def __init__(self, step: str, answer: "Answer") -> None:
        super().__init__(f"{answer.code} {step}: {answer.text}")
        self.step, self.code, self.text = step, answer.code, answer.text


class Lost(Exception):
    """The connection is of no use any more. `before_content`: no mail that was handed over on it
    waits for its answer."""

    def __init__(self, reason: str, *, before_content: bool = True) -> None:
        super().__init__(reason)
        self.before_content = before_content


@dataclass(frozen=True)
class Answer:
    """`code` is 0 for what is no answer of SMTP."""

    code: int
    lines: list[str]

    @property
    def text(self) -> str:
        """As it can be kept."""
        return " ".join(" ".join(self.lines).replace("\0", " ").split())[:500]


class Connection:
    def __init__(self, wire: "_Wire") -> None:
        self._wire = wire
        self._extensions: dict[str, str] = {}

    @classmethod
    async def open(cls, relay: Smtp) -> "Connection":
        """Greeted, encrypted as `relay` wants it, and signed in. Raises Lost or Refused."""
        tls = None if relay.security == "plain" else await asyncio.to_thread(_verifying)
        with _losses():
            async with asyncio.timeout(STEP_SECONDS):
                _, wire = await asyncio.get_running_loop().create_connection(
                    _Wire, relay.host, relay.port, ssl=tls if relay.security == "tls" else None
                )
        connection = cls(wire)
        try:
            await connection._begin(relay, tls)
        except BaseException:
            connection.abort()
            raise
        return connection

    async def transfer(self, message: Message) -> str:
        """Hands a mail over; returns the relay's answer. Raises Refused or Lost."""
        await self._announce(message)
        self._wire.write(message.data.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        try:
            answer = await self._wire.answer(CONTENT_SECONDS)
        except Lost as lost:
            raise Lost(str(lost), before_content=False) from lost.__cause__
        if answer.code == 421:
            raise Lost(f"421 final dot: {answer.text}", before_content=False)
        _good("final dot", answer, 250)
        return f"{answer.code} {answer.text}"

    async def is_alive(self) -> bool:
        try:
            return (await self._say("NOOP")).code == 250
        except Lost:
            return False

    def quit(self) -> None:
        """Says goodbye and does not wait for an answer."""
        self._wire.write(b"QUIT\r\n")
        self._wire.transport.close()

    def abort(self) -> None:
        self._wire.transport.abort()

    # The beginning

    async def _begin(self, relay: Smtp, tls: ssl.SSLContext | None) -> None:
        _good("greeting", await self._wire.answer(), 220)
        await self._hello()
        if relay.security == "starttls" and tls is not None:
            _good("STARTTLS", await self._say("STARTTLS"), 220)
            await self._wire.encrypt(tls, relay.host)
            await self._hello()  # what it said before may have been said by somebody else
        if relay.user is not None:
            await self._sign_in(relay.user, relay.password or "")

    async def _hello(self) -> None:
        answer = await self._say(f"EHLO {self._wire.own_name}")
        self._extensions = {}
        if answer.code == 250:
            for line in answer.lines[1:]:
                name, _, parameters = line.partition(" ")
                self._extensions[name.upper()] = parameters.upper()
        else:
            _good("HELO", await self._say(f"HELO {self._wire.own_name}"), 250)

    async def _sign_in(self, user: str, password: str) -> None:
        if "PLAIN" in self._extensions.get("AUTH", "").split():
            both = _base64(f"\0{user}\0{password}")
            answer = await self._say(f"AUTH PLAIN {both}")
        else:
            answer = await self._say("AUTH LOGIN")
            for secret in (user, password):
                answer = await self._say(_base64(secret)) if answer.code == 334 else answer
        _good("AUTH", answer, 235)

    # A mail

    async def _announce(self, message: Message) -> None:
        """All that comes before the content; after a bad answer the next mail may follow."""
        answers = await self._envelope(message)
        for (step, good), answer in zip(_COMMANDS, answers, strict=False):
            if answer.code == 421:
                raise Lost(f"421 {step}: {answer.text}")
            if answer.code in good:
                continue
            with suppress(Lost):  # a relay may hang up after a refusal, which still holds
                if len(answers) == 3 and answers[2].code == 354:
                    await self._say(".")  # DATA was accepted without a recipient: a mail to nobody
                await self._say("RSET")
            raise Refused(step, answer)

    async def _envelope(self, message: Message) -> list[Answer]:
        """The answers up to the first bad one; in one round trip where the relay lets us."""
        commands = (f"MAIL FROM:<{message.sender}>", f"RCPT TO:<{message.to}>", "DATA")
        if "PIPELINING" in self._extensions:
            self._wire.write("".join(f"{command}\r\n" for command in commands).encode("ascii"))
            return await self._wire.answers(len(commands))
        answers = []
        for command, (_, good) in zip(commands, _COMMANDS, strict=True):
            answers.append(await self._say(command))
            if answers[-1].code not in good:
                break
        return answers

    async def _say(self, command: str) -> Answer:
        self._wire.write(f"{command}\r\n".encode("ascii"))
        return await self._wire.answer()


def _verifying() -> ssl.SSLContext:
    """Reads all certificates of the system: some 20 ms, not for the event loop."""
    return ssl.create_default_context()


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _good(step: str, answer: Answer, code: int) -> Answer:
    if answer.code != code:
        raise Refused(step, answer)
    return answer


@contextmanager
def _losses() -> Iterator[None]:
    try:
        yield
    except (OSError, TimeoutError) as error:
        raise Lost(f"the mail relay is away: {type(error).__name__}") from error


class _Wire(asyncio.Protocol):
    """The bytes of a connection: commands go out, answers are waited for one after another."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = bytearray()
        self._is_closed = False
        self._news: asyncio.Future[None] | None = None

    @property
    def own_name(self) -> str:
        """This host's, or its address where it has none that others could know."""
        name = socket.gethostname()
        if "." in name:
            return name
        address = self.transport.get_extra_info("sockname")[0]
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    async def encrypt(self, tls: ssl.SSLContext, host: str) -> None:
        self._received.clear()  # nobody may put words in before the encryption
        with _losses():
            async with asyncio.timeout(STEP_SECONDS):
                encrypted = await asyncio.get_running_loop().start_tls(
                    self.transport, self, tls, server_hostname=host
                )
        assert encrypted is not None
        self.transport = encrypted

    async def answer(self, seconds: float | None = None) -> Answer:
        """The next one. Raises Lost when none comes."""
        [answer] = await self.answers(1, seconds)
        return answer

    async def answers(self, count: int, seconds: float | None = None) -> list[Answer]:
        """The next ones, which come within one round trip. Raises Lost when they do not."""
        with _losses():
            async with asyncio.timeout(seconds or STEP_SECONDS):
                return [await self._answer() for _ in range(count)]

    async def _answer(self) -> Answer:
        """Its lines joined."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            lines.append(await self._line())
        code = lines[-1][:3]
        if not (code.isascii() and code.isdigit()):
            return Answer(0, lines)
        return Answer(int(code), [line[4:].strip() for line in lines])

    async def _line(self) -> str:
        while (end := self._received.find(b"\n")) < 0:
            if self._is_closed or len(self._received) > _LONGEST_ANSWER:
                raise Lost("the mail relay went away in the middle")
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        line = self._received[:end].decode(errors="replace").rstrip("\r")
        del self._received[: end + 1]
        return line

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's only looks like one

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
