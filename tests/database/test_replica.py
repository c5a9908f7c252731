"""A standby that is read from: what it takes off the primary, what is never read too old, and that
nobody notices when it lags or is away."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from activelog import database
from activelog.base.settings import Settings
from activelog.database import Reader
from activelog.database.migrations import migrate
from activelog.local.embedded import EmbeddedPostgres
from tests.conftest import User, World, remove_data, running
from tests.real import standby

pytestmark = pytest.mark.slow

WHERE = b"SELECT pg_is_in_recovery()"
STREAM = "/api/v1/activities/export/csv/download"
ACTIVITIES = b"SELECT count(*) FROM activities"


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    folder = Path(tempfile.mkdtemp(prefix="activelog-replica-"))
    try:
        with EmbeddedPostgres(folder / "primary") as primary:
            migrate(primary.url())
            with standby.running(primary, folder / "standby") as follower:
                yield primary, follower
    finally:
        remove_data(folder / "primary")
        shutil.rmtree(folder)


@pytest.fixture
async def world(
    settings: Settings, pair: tuple[EmbeddedPostgres, EmbeddedPostgres]
) -> AsyncIterator[World]:
    primary, follower = pair
    urls = replace(settings, database_url=primary.url(), database_replica_url=follower.url())
    async with running(urls) as found:
        yield found
        await found.rows("DELETE FROM users")


async def reads_from_standby(reader: Reader) -> bool:
    async with reader.connection() as conn:
        return bool(await database.value(conn, WHERE, {}))


def pause(follower: EmbeddedPostgres, what: str = "pause") -> None:
    with psycopg.connect(follower.url(), autocommit=True) as conn:
        conn.execute(f"SELECT pg_wal_replay_{what}()".encode())


async def test_it_is_read_from_and_has_what_was_just_written(world: World) -> None:
    ada = await world.user()
    for number in range(20):
        await ada.log(duration_minutes=number + 1)
        async with world.services.reader.connection() as conn:
            assert await database.value(conn, WHERE, {})
            assert await database.value(conn, ACTIVITIES, {}) == number + 1


async def test_exports_reports_and_old_pages_leave_the_primary_alone(world: World) -> None:
    ada = await world.user()
    for _ in range(3):
        await ada.log()
    paths = await _everything(ada)
    await world.rows("SELECT pg_stat_force_next_flush()")
    before = await _reads(world)
    await world.work()
    for path in paths:
        answer = await ada.get(path)
        assert answer.status_code == 200, answer.text
    page = (await ada.get("/api/v1/activities?limit=1")).json()
    assert (await ada.get(f"/api/v1/activities?cursor={page['next_cursor']}")).status_code == 200
    await asyncio.sleep(1.5)  # backends tell the statistics what they did within a second
    await world.rows("SELECT pg_stat_force_next_flush()")
    assert await _reads(world) - before <= 6, "one page was read, and its jobs' own rows"


async def _everything(ada: User) -> list[str]:
    """Asks for the exports; where they will lie, and what else is read."""
    paths = ["/api/v1/stats/daily", "/api/v1/stats/year", STREAM]
    for form, body in (("csv", {}), ("pdf", {"report_type": "yearly", "year": 2024})):
        accepted = await ada.post(f"/api/v1/activities/export/{form}", json=body)
        assert accepted.status_code == 202, accepted.text
        paths.append(accepted.json()["status_url"])
    return paths


async def _reads(world: World) -> int:
    """Activities that the primary has fetched so far."""
    return int(
        await world.value(
            "SELECT coalesce(idx_tup_fetch, 0) + seq_tup_read FROM pg_stat_user_tables"
            " WHERE relname = 'activities'"
        )
    )


async def test_one_that_lags_or_is_away_is_left_out(
    world: World, pair: tuple[EmbeddedPostgres, EmbeddedPostgres]
) -> None:
    _, follower = pair
    ada = await world.user()
    reader = world.services.reader
    assert await reads_from_standby(reader)
    pause(follower)
    await ada.log()
    began = time.monotonic()
    stats = await ada.get("/api/v1/stats/daily?start_date=2024-01-15&end_date=2024-01-15")
    assert stats.status_code == 200
    assert not await reads_from_standby(reader)
    for _ in range(5):
        assert not await reads_from_standby(reader)
    assert time.monotonic() - began < 5, "it is waited for once, not by everybody"
    pause(follower, "resume")
    reader._left_out_until = 0.0
    assert await reads_from_standby(reader), "it is back"
    assert await reader.problem() is None
    follower.stop()
    try:
        reader._left_out_until = 0.0
        for _ in range(3):
            assert (await ada.get("/api/v1/stats/daily")).status_code == 200
        assert "is away or lags" in (await reader.problem() or "")
    finally:
        follower.start()
