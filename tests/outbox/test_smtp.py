"""Mails over real SMTP: aiosmtpd for what a server may say, postfix for the whole way."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from activelog.mail import Recipient, build
from activelog.settings import Settings, Smtp
from tests.conftest import World, missing, running
from tests.real import postfix
from tests.real.postfix import Postfix

ADA = "ada@x.test"


@dataclass
class Sink:
    """Keeps what arrives; `answers` are given instead of 250, one for each step it names."""

    answers: dict[str, str] = field(default_factory=dict)
    mails: list[Envelope] = field(default_factory=list)
    connections: int = 0

    async def handle_EHLO(self, server: Any, session: Session, envelope: Envelope, hostname: str, responses: list[str]) -> list[str]:  # fmt: skip  # noqa: N802, E501
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # fmt: skip  # noqa: N802, E501
        if answer := self.answers.get("MAIL"):
            return answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # fmt: skip  # noqa: N802, E501
        if answer := self.answers.get("RCPT"):
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
        return super().factory()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session")
def certificate() -> Iterator[Path]:
    if shutil.which("openssl") is None:
        missing("openssl")
    with tempfile.TemporaryDirectory(prefix="activelog-tls-") as folder:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
        yield Path(folder)


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
    async with world.jobs.open_async():
        await world.jobs.configure_task("activelog.accounts.welcome").defer_async(user_id=user.id)
    await world.work()


async def run_due(world: World) -> None:
    await world.rows("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
    await world.work()


async def state(world: World) -> tuple[Any, ...]:
    return (await world.rows("SELECT state, attempts FROM mails"))[0]


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
        content = services.templates.render("welcome", {"name": "Ada"})
        for number in range(3):
            message = build("a@x.test", Recipient("Ada", ADA), f"<{number}@x.test>", content)
            await services.mailer.send(message)
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


async def test_after_the_last_attempt_a_mail_has_failed(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers["RCPT"] = f"451 {ADA} is busy"
        await greet(world)
        for _ in range(3):
            await run_due(world)
        assert await state(world) == ("failed", 4)
        assert ADA in await world.value("SELECT answer FROM mails")
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


async def test_a_relay_that_is_away_delays_the_mail(settings: Settings) -> None:
    smtp = Smtp("localhost", 9, "plain")
    async with running(replace(settings, mail=smtp)) as world:
        await greet(world)
        assert await state(world) == ("queued", 1)
        assert "relay is away" in await world.value("SELECT answer FROM mails")


async def test_starttls_and_auth(
    settings: Settings, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=data.password == b"right", handled=False)

    options: dict[str, Any] = {
        "tls_context": context,
        "require_starttls": True,
        "auth_required": True,
        "authenticator": authenticate,
    }
    async with sink(**options) as (server, plain):
        good = Smtp("localhost", plain.port, "starttls", "app", "right")
        async with running(replace(settings, mail=good)) as world:
            await greet(world)
            assert server.mails == []
            assert "SSLCertVerificationError" in await world.value("SELECT answer FROM mails")
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
            await run_due(world)
            assert await state(world) == ("sent", 2)
        async with running(replace(settings, mail=replace(good, password="wrong"))) as world:
            await greet(world, "bob@x.test")
            answers = await world.rows("SELECT state, answer FROM mails WHERE state <> 'sent'")
            assert answers == [("queued", "the mail relay does not accept our credentials")]


async def test_a_broken_template_fails_its_mail_and_names_the_line(
    settings: Settings, tmp_path: Path
) -> None:
    override = tmp_path / "templates"
    (override / "welcome").mkdir(parents=True)
    (override / "welcome" / "body.txt").write_text("Hi\n{{ nothing.like.this }}\n{% if %}")
    async with running(replace(settings, templates=override)) as world:
        await greet(world)
        answer = await world.value("SELECT answer FROM mails WHERE state = 'failed'")
        assert "welcome/body.txt, line 3" in answer


@pytest.fixture(scope="module")
def mta() -> Iterator[Postfix]:
    if not postfix.is_installed():
        missing("postfix")
    with tempfile.TemporaryDirectory(prefix="activelog-mta-") as folder:
        Path(folder).chmod(0o755)
        with postfix.postfix(Path(folder, "postfix"), 17525) as server:
            yield server


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
        assert subjects == {"Welcome to ActiveLog, Ada!", "Verify your address for ActiveLog"}


async def _until(ready: Callable[[], bool]) -> None:
    for _ in range(200):
        if ready():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen within 10 s")
