"""`activelog doctor`: looks at everything that must be there, and says what to do."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg

from activelog import database
from activelog.base.errors import CommandError
from activelog.base.settings import Settings
from activelog.database.notifications import listen
from activelog.mail import MailKind
from activelog.operations import queries
from activelog.operations.routes import check
from activelog.services import Services, make_services

_PATIENCE = 10.0  # seconds
_CHANNEL = "activelog_doctor"
_DRIFT = 5.0  # seconds between this host's clock and the database's


async def diagnose(
    settings: Settings, kinds: Iterable[MailKind]
) -> AsyncIterator[tuple[str, bool]]:
    """Lines for people, and whether each is good. `kinds`: of mails."""
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # its lines say it better
    try:
        await (await database.connect(settings.database_url, "activelog doctor")).close()
        database.check_one_database(settings.database_url, settings.other_database_urls)
    except (psycopg.OperationalError, CommandError) as error:
        yield f"connecting: {str(error).strip()}", False
    async with database.small_pool(settings, "activelog doctor") as pool:
        services = make_services(settings, pool)
        lines, _ = await check(services)
        for line in lines:
            yield line, line.endswith(": ok")
        problem = await _writing(services)
        yield f"storage for writing: {problem or 'ok'}", problem is None
        problem = await services.outbox.mailer.check()
        yield f"mail: {problem or 'ok'}", problem is None
        problem = services.outbox.templates.problem(kinds)
        yield f"templates: {problem or 'ok'}", problem is None
        if lines[0] == "database: ok":
            yield await _clock(services)
            problem = await _notifications(services)
            yield f"notifications: {problem or 'ok'}", problem is None
            yield await _connections(services)
            yield await _sessions(services)
            if settings.database_replica_url is not None:
                problem = await services.reader.problem()
                yield f"replica: {problem or 'ok'}", problem is None
                await services.reader.close()


async def _writing(services: Services) -> str | None:
    """What keeps files from being stored, in words for people."""
    key = f"readiness/{uuid4()}"
    with tempfile.NamedTemporaryFile() as file:
        try:
            async with asyncio.timeout(_PATIENCE):
                await services.storage.put(key, Path(file.name), "text/plain")
                await services.storage.remove(key)
        except Exception as error:
            return f"{error or type(error).__name__}: look at ACTIVELOG_STORAGE_URL and its rights"
    return None


async def _notifications(services: Services) -> str | None:
    """What keeps them from arriving. (Without them each job waits for the next poll.)"""
    subject, heard, tasks = str(uuid4()), asyncio.Event(), set[asyncio.Task[None]]()

    def announce() -> None:
        tasks.add(asyncio.create_task(_notify(services, subject)))

    listening = asyncio.create_task(
        listen(
            services.settings.direct_url,
            [_CHANNEL],
            application="activelog doctor",
            on_start=announce,
            on_notify=lambda payload: heard.set() if payload == subject else None,
        )
    )
    try:
        async with asyncio.timeout(_PATIENCE / 2):
            await heard.wait()
    except TimeoutError:
        return (
            "none arrived: behind a pooler in transaction mode, ACTIVELOG_DATABASE_DIRECT_URL has"
            " to lead to Postgres itself"
        )
    finally:
        listening.cancel()
    return None


async def _notify(services: Services, subject: str) -> None:
    async with services.pool.connection() as conn:
        await queries.notify(conn, _CHANNEL, subject)


async def _connections(services: Services) -> tuple[str, bool]:
    async with services.pool.connection() as conn:
        found = await queries.connections(conn)
    said = f"connections: {found.used} of {found.most} are in use"
    if found.used < 0.8 * found.most:
        return f"{said}: ok", True
    return f"{said}: lower ACTIVELOG_DB_CONNECTIONS, or put a pooler in front", False


async def _sessions(services: Services) -> tuple[str, bool]:
    async with services.pool.connection() as conn:
        found = await queries.in_the_way(conn)
    return f"sessions: {found[0].sentence() if found else 'ok'}", not found


async def _clock(services: Services) -> tuple[str, bool]:
    async with services.pool.connection() as conn:
        theirs = await queries.clock(conn)
    drift = (datetime.now(UTC) - theirs).total_seconds()
    if abs(drift) <= _DRIFT:
        return "clock: ok", True
    return (
        f"clock: {drift:+.0f} s from the database's: set both by NTP, or links expire wrongly",
        False,
    )
