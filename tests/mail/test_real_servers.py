"""What real mail servers refuse and send back: Debian's postfix and Exim."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from activelog.base.settings import Settings
from tests.conftest import World, missing, running
from tests.processes import free_port, until
from tests.real import exim, postfix
from tests.real.exim import Exim
from tests.real.postfix import Postfix

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mta")]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Reachable for the users that the servers run as."""
    with tempfile.TemporaryDirectory(prefix="activelog-mta-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def a_postfix(folder: Path) -> Iterator[Postfix]:
    if not postfix.is_installed():
        missing("postfix")
    with postfix.postfix(folder / "postfix", free_port()) as server:
        yield server


@pytest.fixture(scope="module")
def an_exim(folder: Path) -> Iterator[Exim]:
    if not exim.is_installed():
        missing("Exim")
    with exim.exim(folder / "exim", free_port()) as server:
        yield server


@pytest.fixture(params=["a_postfix", "an_exim"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Postfix | Exim:
    found: Postfix | Exim = request.getfixturevalue(request.param)
    if isinstance(found, Postfix):
        monkeypatch.setenv("SSL_CERT_FILE", str(found.certificate))
    return found


@asynccontextmanager
async def behind(
    settings: Settings, server: Postfix | Exim, sender: str = "bounces@x.test"
) -> AsyncIterator[World]:
    environ = {
        "ACTIVELOG_DATABASE_URL": settings.database_url,
        "ACTIVELOG_SECRET": settings.secret,
        "ACTIVELOG_SMTP_URL": server.url,
    }
    relay = Settings.from_env(environ).mail
    where = f"maildir:{server.maildir}"
    with_server = replace(
        settings, mail=relay, mail_from=sender, bounces=sender, bounces_mailbox=where
    )
    async with running(with_server) as world:
        yield world


async def greet(world: World, address: str) -> None:
    """Two mails."""
    await world.register(address)
    await world.work()


async def come_back(world: World, server: Postfix | Exim) -> None:
    """Two mails, which the server took before."""
    until(lambda: len(list(server.maildir.glob("new/*"))) == 2, "the return of two mails")
    await world.jobs_defer("activelog.mails.bounces")
    await world.work()


async def test_what_a_server_sends_back_is_known_by_its_return_path(
    settings: Settings, server: Postfix | Exim
) -> None:
    async with behind(settings, server) as world:
        await greet(world, "gone@late.test")
        await come_back(world, server)
        assert await world.rows("SELECT state, bounce FROM mails") == [("sent", "hard")] * 2
        assert await world.value("SELECT address FROM suppressed_addresses") == "gone@late.test"


async def test_a_full_mailbox_stays_in_use(settings: Settings, an_exim: Exim) -> None:
    async with behind(settings, an_exim) as world:
        await greet(world, "full@late.test")
        await come_back(world, an_exim)
        assert await world.rows("SELECT state, bounce FROM mails") == [("sent", "full")] * 2
        assert await world.value("SELECT count(*) FROM suppressed_addresses") == 0


async def test_a_server_that_relays_for_nobody_is_not_our_readers_fault(
    settings: Settings, an_exim: Exim
) -> None:
    async with behind(settings, an_exim) as world:
        await greet(world, "ada@elsewhere.test")
        answers = await world.rows("SELECT DISTINCT answer FROM mails")
        assert ["relay not permitted" in answer for (answer,) in answers] == [True]
        assert await world.value("SELECT count(*) FROM suppressed_addresses") == 0


async def test_a_sender_that_is_refused_is_not_our_readers_fault(
    settings: Settings, an_exim: Exim
) -> None:
    async with behind(settings, an_exim, "bounces@unknown.test") as world:
        await greet(world, "ada@x.test")
        answers = await world.rows("SELECT DISTINCT answer FROM mails")
        assert ["Sender verify failed" in answer for (answer,) in answers] == [True]
        assert await world.value("SELECT count(*) FROM suppressed_addresses") == 0
