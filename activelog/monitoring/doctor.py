"""`activelog doctor`: looks at everything that must be there, and says what to do."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from activelog import db
from activelog.monitoring import queries
from activelog.monitoring.routes import check
from activelog.services import Services, make_services
from activelog.settings import Settings

_DRIFT = 5.0  # seconds between this host's clock and the database's


async def diagnose(settings: Settings) -> AsyncIterator[tuple[str, bool]]:
    """Lines for people, and whether each is good."""
    pool = db.make_pool(settings.database_url, max_size=2, application="activelog doctor")
    async with pool:
        services = make_services(settings, pool)
        lines, _ = await check(services)
        for line in lines:
            yield line, line.endswith(": ok")
        problem = await services.mailer.check()
        yield f"mail: {problem or 'ok'}", problem is None
        if lines[0] == "database: ok":
            yield await _clock(services)


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
