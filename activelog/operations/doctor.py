"""`activelog doctor`: looks at everything that must be there, and says what to do."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from activelog import database
from activelog.base.settings import Settings
from activelog.operations import queries
from activelog.operations.routes import check
from activelog.services import Services, make_services

_PATIENCE = 10.0  # seconds
_DRIFT = 5.0  # seconds between this host's clock and the database's


async def diagnose(settings: Settings) -> AsyncIterator[tuple[str, bool]]:
    """Lines for people, and whether each is good."""
    pool = database.make_pool(settings.database_url, max_size=2, application="activelog doctor")
    async with pool:
        services = make_services(settings, pool)
        lines, _ = await check(services)
        for line in lines:
            yield line, line.endswith(": ok")
        problem = await _writing(services)
        yield f"storage for writing: {problem or 'ok'}", problem is None
        problem = await services.outbox.mailer.check()
        yield f"mail: {problem or 'ok'}", problem is None
        if lines[0] == "database: ok":
            yield await _clock(services)


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
