"""Mails over real SMTP: aiosmtpd for what a server may say, postfix for the whole way."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from activelog.base.errors import Permanent
from activelog.base.settings import Settings, Smtp
from activelog.jobs import make_app
from activelog.mail import Recipient, Templates, compose, relay
from activelog.mail import smtp as smtp_client
from activelog.operations import admin
from tests.conftest import World, missing, running
from tests.http.test_pages import sign_in_admin
from tests.real import postfix
from tests.real.postfix import Postfix

ADA = "ada@x.test"
CONTENT = ("Hi", "Hi Ada\n", "<p>Hi Ada</p>")


@dataclass
class Sink:
    """Keeps what arrives; `answers` are given instead of 250, one for each step it names."""

    answers: dict[str, str] = field(default_factory=dict)
    once: dict[str, str] = field(default_factory=dict)
    recipients: dict[str, str] = field(default_factory=dict)  # answers by address
    mails: list[Envelope] = field(default_factory=list)
    connections: int = 0
    gone: int = 0  # of them

    async def handle_EHLO(self, server: Any, session: Session, envelope: Envelope, hostname: str, responses: list[str]) -> list[str]:  # fmt: skip  # noqa: N802, E501
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # fmt: skip  # noqa: N802, E501
        if answer := self.once.pop("MAIL", None) or self.answers.get("MAIL"):
            return answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # fmt: skip  # noqa: N802, E501
        if answer := self.answers.get("RCPT") or self.recipients.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.answers.get("DATA")
        if answer == "drop":
            self.mails.append(envelope)
            server.transport.close()
            return "250 nobody hears this"
        if answer:
            return answer
        self.mails.append(envelope)
        return "250 kept"


class Counting(Controller):
    def factory(self) -> Any:
        self.handler.connections += 1
        server = super().factory()  # type: ignore[no-untyped-call]
        lost = server.connection_lost

        def connection_lost(error: Exception | None) -> None:
            self.handler.gone += 1
            lost(error)

        server.connection_lost = connection_lost
        return server


@pytest.fixture(scope="session")
def certificate() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="activelog-tls-") as folder:
        make_certificate(Path(folder))
        yield Path(folder)


def make_certificate(folder: Path) -> None:
    """Of localhost: key.pem and cert.pem."""
    if shutil.which("openssl") is None:
        missing("openssl")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


@asynccontextmanager
async def misbehaving(step: str, fault: str, *extensions: str) -> AsyncIterator[Smtp]:
    """A relay that goes wrong at one step: it hangs up, says nonsense, says nothing, is slow, or
    answers with the code that is the fault's name."""
    hello = "\r\n".join(("250-hello", *(f"250-{name}" for name in extensions), "250 8BITMIME"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def answer(now: str, text: str) -> bool:
            if now == step and fault == "drop":
                writer.close()
                return False
            if now == step and fault == "hang":
                await asyncio.sleep(3)
                return False
            if now == step and fault == "garbage":
                text = "\x00\xff what?"
            if now == step and fault.isdigit():
                text = f"{fault} no"
            if now == step and fault == "slow":
                for letter in text:
                    writer.write(letter.encode())
                    await asyncio.sleep(0.05)
                text = ""
            writer.write(f"{text}\r\n".encode("latin-1"))
            return True

        steps = {"EHLO": hello, "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go on"}
        alive = await answer("greeting", "220 test")
        while alive and (line := await reader.readline()):
            verb = line[:4].decode("latin-1").upper()
            if verb == "BDAT":
                await reader.readexactly(int(line.split()[1]))
                alive = await answer("final dot", "250 kept")
                continue
            alive = await answer(verb, steps.get(verb, "250 ok"))
            if verb == "DATA" and alive and not (step == "DATA" and fault.isdigit()):
                while (line := await reader.readline()) not in (b".\r\n", b""):
                    pass
                alive = await answer("final dot", "250 kept")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Smtp("127.0.0.1", server.sockets[0].getsockname()[1], "plain")


@asynccontextmanager
async def sink(**options: Any) -> AsyncIterator[tuple[Sink, Smtp]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    handler = Sink()
    controller = Counting(handler, hostname="localhost", port=port, **options)
    controller.start()
    try:
        yield handler, Smtp("localhost", port, "plain")
    finally:
        controller.stop()


async def greet(world: World, address: str = ADA) -> None:
    """Lets the worker send a welcome mail."""
    user = await world.user(address)
    await world.jobs_defer("activelog.accounts.welcome", user_id=user.id)
    await world.work()


async def run_due(world: World) -> None:
    await world.rows("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
    await world.work()


async def state(world: World) -> tuple[Any, ...]:
    return (await world.rows("SELECT state, attempts FROM mails"))[0]


async def test_a_mail_that_failed_is_sent_when_somebody_retries_its_job(
    settings: Settings,
) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers["RCPT"] = "550 5.7.1 relay not permitted"
        await greet(world)
        assert await state(world) == ("failed", 1)
        server.answers.clear()
        await world.jobs_defer("activelog.accounts.welcome", user_id=1)
        await run_due(world)
        assert await state(world) == ("failed", 1), "another job is no retry"
        async with world.pool.connection() as conn:
            failed = await world.value("SELECT id FROM procrastinate_jobs WHERE status = 'failed'")
            assert await admin.act(conn, "retry", [failed])
        await run_due(world)
        assert await state(world) == ("sent", 2)
        assert len(server.mails) == 1


async def test_a_mail_over_smtp(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        await greet(world)
        [envelope] = server.mails
        assert envelope.rcpt_tos == [ADA]
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert mail["To"] == "Ada <ada@x.test>"
        assert mail["From"] == "ActiveLog <hello@activelog.test>"
        assert mail["Auto-Submitted"] == "auto-generated"
        assert mail["Message-ID"].endswith("@activelog.test>")
        assert mail.get_content_type() == "multipart/alternative"
        assert len(envelope.content) < 90_000
        stored = await world.rows("SELECT state, message_id, answer FROM mails")
        assert stored == [("sent", mail["Message-ID"], "250 kept")]


async def test_connections_are_reused(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        services = world.services
        for number in range(5):
            await greet(world, f"ada{number}@x.test")
        assert len(server.mails) == 5
        server.connections = 0
        for number in range(3):
            message = compose("a@x.test", Recipient("Ada", ADA), f"<{number}@x.test>", CONTENT)
            await services.outbox.mailer.send(message)
        assert server.connections == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_not_now_means_later(settings: Settings, step: str) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers[step] = "451 try later"
        await greet(world)
        assert await state(world) == ("queued", 1)
        server.answers.clear()
        await run_due(world)
        assert await state(world) == ("sent", 2)
        assert len(server.mails) == 1


async def test_a_relay_that_refuses_us_does_not_cost_the_mail(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers["MAIL"] = "530 must issue STARTTLS first"
        await greet(world)
        assert await state(world) == ("queued", 1)


@pytest.mark.parametrize(
    "away", ["530 must issue STARTTLS first", "452 4.3.1 disk full", "connection"]
)
async def test_mails_wait_for_a_day_while_the_relay_takes_none(
    settings: Settings, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers["MAIL"] = away
        with monkeypatch.context() as broken:
            if away == "connection":
                broken.setattr(socket, "create_connection", _no_connection)
            await greet(world)
            for _ in range(5):
                await run_due(world)
            assert (await state(world))[0] == "queued"
        server.answers.clear()
        await run_due(world)
        assert (await state(world))[0] == "sent"
        await world.rows("UPDATE mails SET state = 'queued', attempts = 95")
        await world.rows("UPDATE procrastinate_jobs SET status = 'todo', attempts = 3")
        server.answers["MAIL"] = "530 must issue STARTTLS first"
        await run_due(world)
        assert await state(world) == ("failed", 96), "a day, and a day more for who sent it again"


async def test_a_relay_that_swallows_all_holds_one_mail_and_not_each(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_LONG_SILENCE", -1.0)
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        mailer = world.services.outbox.mailer
        message = compose("a@x.test", Recipient("Ada", ADA), "<1@x.test>", CONTENT)
        server.connections = 0
        with monkeypatch.context() as broken:
            broken.setattr(socket, "create_connection", _no_connection)
            with pytest.raises(relay.RelayAway, match="ConnectionRefusedError"):
                await mailer.send(message)
        with pytest.raises(relay.RelayAway, match="silent a moment ago"):
            await mailer.send(message)
        assert server.connections == 0
        assert await mailer.check() is None, "the doctor looks anew"
        await mailer.send(message)


def _no_connection(*_: object, **__: object) -> None:
    raise ConnectionRefusedError


async def test_after_the_last_attempt_a_mail_has_failed(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers["RCPT"] = f"451 {ADA} is busy"
        await greet(world)
        for _ in range(3):
            await run_due(world)
        assert await state(world) == ("failed", 4)
        assert ADA not in await world.value("SELECT answer FROM mails")
        errors = await world.rows("SELECT error, public_error, traceback FROM job_errors")
        assert len(errors) == 4
        assert ADA not in str(errors), "job rows are no place for addresses"


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
async def test_never_means_never(settings: Settings, step: str) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers[step] = "550 no such mailbox"
        await greet(world)
        assert await state(world) == ("failed", 1)
        assert await world.value("SELECT status::text FROM procrastinate_jobs") == "failed"
        assert "550" in await world.value("SELECT answer FROM mails")


async def test_a_drop_after_the_final_dot_sends_again_under_the_same_id(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers["DATA"] = "drop"
        await greet(world)
        assert await state(world) == ("queued", 1)
        server.answers.clear()
        await run_due(world)
        assert await state(world) == ("sent", 2)
        ids = {message_from_bytes(mail.content)["Message-ID"] for mail in server.mails}  # type: ignore[arg-type]
        assert len(server.mails) == 2
        assert len(ids) == 1


# Of real relays: they refuse us or the mail, for every address.
REFUSING_US = (
    "550 5.7.1 we do not like this mail",
    "550 relay not permitted",
    "550 Sender verify failed",
    "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
    "551 user not local",
)


@pytest.mark.parametrize("answer", REFUSING_US)
async def test_a_relay_that_refuses_us_says_nothing_of_a_mailbox(
    settings: Settings, answer: str
) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers["RCPT"] = answer
        await greet(world)
        assert await state(world) == ("failed", 1)
        assert await world.rows("SELECT * FROM suppressed_addresses") == []


async def test_a_dead_mailbox_is_not_mailed_to_again(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers["RCPT"] = "550 5.7.1 we do not like this mail"
        await greet(world)
        server.answers["RCPT"] = "550 5.1.1 no such mailbox"
        await greet(world, "bob@x.test")
        assert await world.rows("SELECT address FROM suppressed_addresses") == [("bob@x.test",)]
        server.answers.clear()
        await world.rows("UPDATE mails SET state = 'queued'")
        await world.rows("UPDATE procrastinate_jobs SET status = 'todo'")
        await world.work()
        states = await world.rows("SELECT state FROM mails ORDER BY id")
        assert states == [("sent",), ("suppressed",)]
        assert len(server.mails) == 1


async def send_again(world: World, user_id: int) -> None:
    """Lets the worker try another mail to somebody, who changed a password."""
    key = str(await world.value("SELECT clock_timestamp()"))
    await world.jobs_defer("activelog.accounts.password_changed", user_id=user_id, dedup_key=key)
    await world.work()


async def suppressed(world: World) -> list[str]:
    return [address for (address,) in await world.rows("SELECT address FROM suppressed_addresses")]


@pytest.mark.parametrize(
    ("answer", "neighbour", "is_dead"),
    [
        ("550 unknown user <bob@x.test>", "eva@x.test", True),
        ("550 unknown user", "eva@y.test", True),
        ("550 5.7.1 we do not like bob", "eva@x.test", False),
        ("553 sorry (#5.7.1)", "eva@x.test", False),
        ("452 come again", "eva@x.test", False),
    ],
)
async def test_a_mailbox_is_dead_when_it_alone_is_refused_again(
    settings: Settings, answer: str, neighbour: str, is_dead: bool
) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.recipients["bob@x.test"] = answer
        await greet(world, neighbour)
        bob = await world.user("bob@x.test")
        await send_again(world, bob.id)
        assert await suppressed(world) == []
        await send_again(world, bob.id)
        assert await suppressed(world) == ["bob@x.test"] * is_dead


async def test_a_refusal_that_others_hear_is_about_no_mailbox(settings: Settings) -> None:
    """A relay that takes what is for its own domain only."""
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        strangers = [await world.user(f"{name}@far.test") for name in ("bob", "cai")]
        for stranger in strangers:
            server.recipients[stranger.address] = "550 relay not permitted"
        for number in range(9):
            await greet(world, f"{number}@near.test")
        for stranger in (*strangers, *strangers):
            await send_again(world, stranger.id)
        assert await suppressed(world) == []
        assert await world.value("SELECT count(*) FROM mails WHERE state = 'failed'") == 4


async def test_when_most_are_refused_mails_wait_and_the_operator_hears_of_it(
    settings: Settings,
) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers["RCPT"] = "550 5.1.1 no such user"
        for number in range(9):
            await greet(world, f"{number}@x.test")
        found = dict(await world.rows("SELECT state, count(*) FROM mails GROUP BY 1"))
        assert found == {"failed": 5, "queued": 4}
        assert await suppressed(world) == []
        assert "activelog_relay_refuses 1.0" in (await world.http.get("/metrics")).text
        await sign_in_admin(world)
        assert "The mail relay refuses most mails" in (await world.http.get("/admin")).text
        server.answers.clear()
        await run_due(world)
        assert len(server.mails) == 4
        await greet(world)
        assert "The mail relay refuses" not in (await world.http.get("/admin")).text


async def test_an_address_is_asked_again_by_a_mail_that_is_no_bulk(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        ada = await world.user(ADA)
        await world.rows(
            "INSERT INTO suppressed_addresses (address, answer, until) VALUES (%s, '550', now())",
            ADA,
        )
        weekly = {"user_id": ada.id, "dedup_key": "2024-01-07"}
        await world.jobs_defer("activelog.summaries.weekly_mail", **weekly)
        await world.work()
        assert await state(world) == ("suppressed", 0)
        await send_again(world, ada.id)
        assert len(server.mails) == 1
        assert await suppressed(world) == []


@pytest.mark.parametrize(("limit", "value"), [("_MAILS_PER_CONNECTION", 1), ("_IDLE_SECONDS", 0)])
async def test_a_connection_is_not_used_for_ever(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(relay, limit, value)
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.connections = 0
        for number in range(3):
            message = compose("a@x.test", Recipient("Ada", ADA), f"<{number}@x.test>", CONTENT)
            await world.services.outbox.mailer.send(message)
        assert server.connections == 3
        assert len(server.mails) == 3


async def test_connections_that_nobody_uses_are_closed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_IDLE_SECONDS", 0.5)
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        mailer = world.services.outbox.mailer
        messages = [
            compose("a@x.test", Recipient("Ada", ADA), f"<{number}@x.test>", CONTENT)
            for number in range(8)
        ]
        await asyncio.gather(*map(mailer.send, messages))
        assert server.connections - server.gone >= 8
        for _ in range(100):
            if server.gone == server.connections:
                break
            await asyncio.sleep(0.1)
        assert server.gone == server.connections


@pytest.mark.parametrize("greets", [False, True])
async def test_a_relay_that_never_ends_its_answer_only_delays(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, greets: bool
) -> None:
    monkeypatch.setattr(smtp_client, "STEP_SECONDS", 1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = b"220-wait\r\n"
        if greets:
            writer.write(b"220 test\r\n")
            line = b"250-wait\r\n"
        with suppress(OSError):
            while True:
                writer.write(line)
                await writer.drain()
                await asyncio.sleep(0.2)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    smtp = Smtp("127.0.0.1", server.sockets[0].getsockname()[1], "plain")
    async with running(replace(settings, mail=smtp)) as world, asyncio.timeout(20):
        await greet(world)
        assert await state(world) == ("queued", 1)
    server.close()


@pytest.mark.parametrize("hello", ["250 ok", "250 PIPELINING", "250-PIPELINING\r\n250 CHUNKING"])
async def test_a_relay_that_hangs_up_after_its_refusal_has_refused(
    settings: Settings, hello: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            if line.startswith(b"EHLO"):
                writer.write(f"250-test\r\n{hello}\r\n".encode())
                continue
            if line.startswith(b"RCPT"):
                writer.write(b"550 5.1.1 no such mailbox\r\n")
                writer.close()
                return
            writer.write(b"250 ok\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    smtp = Smtp("127.0.0.1", server.sockets[0].getsockname()[1], "plain")
    async with server, running(replace(settings, mail=smtp)) as world:
        await greet(world)
        assert await state(world) == ("failed", 1)
        assert await world.rows("SELECT address FROM suppressed_addresses") == [(ADA,)]


@pytest.mark.parametrize("step", ["RCPT", "DATA"])
@pytest.mark.parametrize(
    "quoted",
    ["http://x.test/verify?token=s3cret", "x.test/verify?token=s3cret", "www.x.test/s3cret",
     "<mailto:s3cret@x.test>", "token=3Ds3cret%3D", "s3cret" * 8],
)  # fmt: skip
async def test_what_a_relay_quotes_of_a_mail_is_kept_nowhere(
    settings: Settings, step: str, quoted: str
) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers[step] = f"554 5.7.1 refused: {quoted} is listed"
        await greet(world)
        kept = str(await world.rows("SELECT answer FROM mails"))
        kept += str(await world.rows("SELECT error, public_error, traceback FROM job_errors"))
        assert "554" in kept
        assert "is listed" in kept
        assert "s3cret" not in kept


async def test_a_relays_answer_leaves_no_address_in_job_rows(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers["RCPT"] = "451 ada.l@X.test is busy"
        await greet(world, "Ada.L@x.test")
        [(error,)] = await world.rows("SELECT error FROM job_errors")
        assert error == "MailDelayed: 451 RCPT: (…) is busy"


async def test_a_relay_that_tires_of_a_connection_gets_another(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        message = compose("a@x.test", Recipient("Ada", ADA), "<1@x.test>", CONTENT)
        await world.services.outbox.mailer.send(message)
        server.once["MAIL"] = "421 too many mails on this connection"
        await world.services.outbox.mailer.send(message)
        assert len(server.mails) == 2
        assert server.connections >= 2


# How a relay takes mails, and its steps then.
WAYS = [
    pytest.param(extensions, step, id=f"{' '.join(extensions)} {step}")
    for extensions in ((), ("PIPELINING",), ("PIPELINING", "CHUNKING"))
    for step in ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "final dot")
    if step != "DATA" or "CHUNKING" not in extensions
]


@pytest.mark.parametrize(("extensions", "step"), WAYS)
@pytest.mark.parametrize("fault", ["drop", "garbage", "hang"])
async def test_every_fault_at_every_step_only_delays(
    settings: Settings,
    step: str,
    fault: str,
    extensions: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(smtp_client, "STEP_SECONDS", 0.5)
    monkeypatch.setattr(smtp_client, "CONTENT_SECONDS", 0.5)
    async with (
        misbehaving(step, fault, *extensions) as smtp,
        running(replace(settings, mail=smtp)) as world,
    ):
        await greet(world)
        # Nonsense after EHLO is answered by HELO, and then all is well.
        is_harmless = (step, fault) == ("EHLO", "garbage")
        assert await state(world) == ("sent" if is_harmless else "queued", 1)


@pytest.mark.parametrize(
    ("extensions", "step"), [way for way in WAYS if way.values[1] not in ("greeting", "EHLO")]
)
@pytest.mark.parametrize("code", ["421", "451", "550"])
async def test_every_refusal_at_every_step(
    settings: Settings, step: str, code: str, extensions: tuple[str, ...]
) -> None:
    async with (
        misbehaving(step, code, *extensions) as smtp,
        running(replace(settings, mail=smtp)) as world,
    ):
        await greet(world)
        is_final = code == "550" and step != "MAIL"
        assert await state(world) == ("failed" if is_final else "queued", 1)
        assert f"{code} {step}: no" in await world.value("SELECT answer FROM mails")


async def test_slow_bytes_are_waited_for(settings: Settings) -> None:
    async with (
        misbehaving("final dot", "slow") as smtp,
        running(replace(settings, mail=smtp)) as world,
    ):
        await greet(world)
        assert await state(world) == ("sent", 1)


async def test_the_rate_holds_for_all_workers_together(settings: Settings) -> None:
    async with (
        sink() as (server, smtp),
        running(replace(settings, mail=smtp, mails_per_second=4.0)) as world,
    ):
        for number in range(8):
            user = await world.user(f"ada{number}@x.test")
            await world.jobs_defer("activelog.accounts.welcome", user_id=user.id)
        began = time.monotonic()
        other = replace(world, jobs=make_app(world.settings))
        await asyncio.gather(world.work(), other.work())
        while await world.value("SELECT count(*) FROM mails WHERE state <> 'sent'"):
            await run_due(world)
        assert len(server.mails) == 8
        assert time.monotonic() - began > 0.6  # a second's worth at once, then a quarter apart
        assert await world.value("SELECT max(attempts) FROM mails") == 1


async def test_a_mail_that_must_wait_long_is_put_back_without_a_try(settings: Settings) -> None:
    async with running(replace(settings, mails_per_second=0.1)) as world:
        await greet(world)
        await greet(world, "bob@x.test")
        assert await world.rows("SELECT state, attempts FROM mails ORDER BY id") == [
            ("sent", 1), ("queued", 0)]  # fmt: skip
        waiting = "SELECT attempts FROM procrastinate_jobs WHERE status = 'todo'"
        assert await world.rows(waiting) == [(0,)]


async def test_a_relay_that_is_away_delays_the_mail(settings: Settings) -> None:
    smtp = Smtp("localhost", 9, "plain")
    async with running(replace(settings, mail=smtp)) as world:
        await greet(world)
        assert await state(world) == ("queued", 1)
        assert "relay is away" in await world.value("SELECT answer FROM mails")


@pytest.mark.parametrize("excluded", [[], ["PLAIN"]])
async def test_starttls_and_auth(
    settings: Settings, certificate: Path, monkeypatch: pytest.MonkeyPatch, excluded: list[str]
) -> None:
    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=data.password == b"right", handled=False)

    options: dict[str, Any] = {
        "tls_context": server_context(certificate),
        "require_starttls": True,
        "auth_required": True,
        "authenticator": authenticate,
        "auth_exclude_mechanism": excluded,
    }
    async with sink(**options) as (server, plain):
        good = Smtp("localhost", plain.port, "starttls", "app", "right")
        async with running(replace(settings, mail=good)) as world:
            await is_sent_once_the_certificate_is_trusted(world, server, certificate, monkeypatch)
        async with running(replace(settings, mail=replace(good, password="wrong"))) as world:
            await greet(world, "bob@x.test")
            answers = await world.rows("SELECT state, answer FROM mails WHERE state <> 'sent'")
            assert answers == [("queued", "the mail relay does not accept our credentials")]


async def test_tls_from_the_first_byte(
    settings: Settings, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        sink(ssl_context=server_context(certificate)) as (server, plain),
        running(replace(settings, mail=replace(plain, security="tls"))) as world,
    ):
        await is_sent_once_the_certificate_is_trusted(world, server, certificate, monkeypatch)


async def test_words_put_in_before_the_encryption_are_not_heard(
    settings: Settings, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody in the middle answers the client's next commands before it is encrypted."""
    monkeypatch.setattr(smtp_client, "STEP_SECONDS", 1)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    heard = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        await reader.readline()
        writer.write(b"250-hello\r\n250 STARTTLS\r\n")
        await reader.readline()
        writer.write(b"220 go\r\n250 injected\r\n250 injected\r\n250 injected\r\n354 injected\r\n")
        await writer.drain()
        await writer.start_tls(server_context(certificate))
        while line := await reader.readline():
            heard.append(line[:4])

    server = await asyncio.start_server(serve, "localhost", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        running(replace(settings, mail=Smtp("localhost", port, "starttls"))) as world,
    ):
        await greet(world)
        assert await state(world) == ("queued", 1)
        assert [word.upper() for word in heard] == [b"EHLO"], (
            "it waits for the answer that is encrypted"
        )


async def is_sent_once_the_certificate_is_trusted(
    world: World, server: Sink, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await greet(world)
    assert server.mails == []
    assert "SSLCertVerificationError" in await world.value("SELECT answer FROM mails")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    await run_due(world)
    assert await state(world) == ("sent", 2)


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


async def test_an_override_wins_at_once_and_a_broken_one_falls_back_to_ours(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    override = tmp_path / "templates"
    (override / "welcome").mkdir(parents=True)
    async with running(replace(settings, templates=override)) as world:
        (override / "welcome" / "subject.txt").write_text("Ahoy {{ name }}")
        await greet(world)
        assert [mail["Subject"] for mail in world.mails(ADA)] == ["Ahoy Ada"]
        (override / "welcome" / "subject.txt").write_text("Moin {{ name }}")
        (override / "welcome" / "body.txt").write_text("Hi\n{{ nothing.like.this }}\n{% if %}")
        await greet(world, "bob@x.test")
        assert [mail["Subject"] for mail in world.mails("bob@x.test")] == [
            "Welcome to ActiveLog, Ada!"
        ]
        assert "welcome/body.txt, line 3" in caplog.text


def test_a_template_that_comes_or_goes_later_is_noticed(tmp_path: Path) -> None:
    templates = Templates(tmp_path, "https://x.test")
    data = {"name": "Ada", "unsubscribe_url": ""}
    ours = templates.render("welcome", data)
    (tmp_path / "welcome").mkdir()
    (tmp_path / "welcome" / "subject.txt").write_text("Ahoy {{ name }}")
    assert templates.render("welcome", data) == ("Ahoy Ada", *ours[1:])
    (tmp_path / "welcome" / "subject.txt").unlink()
    assert templates.render("welcome", data) == ours


async def test_an_error_in_a_template_fails_its_mail_and_names_the_line(world: World) -> None:
    templates = world.services.outbox.templates
    with pytest.raises(
        Permanent, match=r"friend_request/subject.txt, line 1: 'total' is undefined"
    ):
        templates.render("friend_request", {"name": "Ada", "unsubscribe_url": ""})


@pytest.fixture(scope="module")
def mta() -> Iterator[Postfix]:
    if not postfix.is_installed():
        missing("postfix")
    with tempfile.TemporaryDirectory(prefix="activelog-mta-") as folder:
        Path(folder).chmod(0o755)
        with postfix.postfix(Path(folder, "postfix"), 17525) as server:
            yield server


@pytest.mark.slow
@pytest.mark.xdist_group("mta")
async def test_from_the_request_to_the_maildir(
    settings: Settings, mta: Postfix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(mta.certificate))
    environ = {
        "ACTIVELOG_DATABASE_URL": settings.database_url,
        "ACTIVELOG_SECRET": settings.secret,
        "ACTIVELOG_SMTP_URL": mta.url,
    }
    smtp = Settings.from_env(environ).mail
    async with running(replace(settings, mail=smtp)) as world:
        await world.register(ADA)
        await world.work()
        assert await world.rows("SELECT DISTINCT state FROM mails") == [("sent",)]
        await _until(lambda: len(mta.mails()) == 2)
        subjects = {
            message_from_bytes(path.read_bytes(), policy=policy.default)["Subject"]
            for path in mta.mails()
        }
        assert subjects == {"Welcome to ActiveLog!", "Verify your address for ActiveLog"}


async def _until(ready: Callable[[], bool]) -> None:
    for _ in range(200):
        if ready():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen within 10 s")
