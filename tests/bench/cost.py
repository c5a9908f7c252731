"""What an action of a person costs Postgres, from the request to the mail: statements, commits and
bytes of WAL, held against the table in tests/README.md. One API and one worker, nothing else. A
commit is a transaction that wrote something."""

import asyncio
import json
import logging
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from activelog.base.settings import Settings
from activelog.database import Conn
from activelog.local.embedded import EmbeddedPostgres
from tests.bench.measure import Result, places
from tests.conftest import User, World, running, settings_for

TABLE = Path(__file__).parents[1] / "README.md"
ROUNDS, ACTIVITIES = 4, 300
_REST, _NOTHING = 5.0, 12.0  # seconds
_UNDONE = "SELECT 1 FROM procrastinate_jobs WHERE status IN ('todo', 'doing') LIMIT 1"
_FAILED = "SELECT 1 FROM procrastinate_jobs WHERE status = 'failed'"
_WEEKLY = """
SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('default', 'activelog.summaries.weekly', 0, NULL, NULL,
                                             %s, NULL)::procrastinate_job_to_defer_v1])"""
_MAKE_DUE = """
UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND scheduled_at > now()"""
_WRITTEN = """
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
       pg_current_wal_insert_lsn() - '0/0'::pg_lsn"""
_STATEMENT = r"[^|]*\|LOG:  (?:statement|execute[^:]*): (?!BEGIN|COMMIT|ROLLBACK)"
_ASKED = re.compile(r"^activelog(?! heartbeat)" + _STATEMENT, re.MULTILINE)
_ASKED_AT_ALL = re.compile(r"^activelog" + _STATEMENT, re.MULTILINE)
_ROW = re.compile(r"^\| ([^|]+?) +\| +(\d+) \| +(\d+) \| +([\d,]+) \|$", re.MULTILINE)

Action = Callable[[User, int], Awaitable[object]]


@dataclass(frozen=True)
class Cost:
    statements: float
    commits: float
    wal: float  # bytes

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(
            self.statements - other.statements,
            self.commits - other.commits,
            self.wal - other.wal,
        )


def measure() -> Iterator[Result]:
    logging.disable(logging.WARNING)
    with places() as (place, _):
        folder = Path(tempfile.mkdtemp(dir=place.server.log.parent))
        found = asyncio.run(costs(settings_for(place.url, folder), place.server))
    table = costs_of_table()
    for action, cost in found.items():
        known = table[action]
        case = f"cost.{action.replace(' ', '_')}"
        note = f"{cost.commits:g} commits and {cost.wal:,.0f} bytes of WAL; the table says"
        note += f" {known.commits:g} and {known.wal:,.0f}"
        yield Result(case, cost.statements, "statements", known.statements, False, note)


def costs_of_table() -> dict[str, Cost]:
    rows = _ROW.findall(TABLE.read_text())
    return {row[0]: Cost(*(float(cell.replace(",", "")) for cell in row[1:])) for row in rows}


async def costs(settings: Settings, server: EmbeddedPostgres) -> dict[str, Cost]:
    """By action, without what a worker costs meanwhile that has nothing to do."""
    async with running(settings) as world:
        person, friend = await world.user("ada@example.com"), await world.user("eve@example.com")
        alone_id = (await world.user("alone@example.com")).id
        await _befriend(world, person, friend)
        await _fill(world, person)
    async with _metering(settings.database_url, server) as meter, running(settings) as world:
        person = User(world, person.id, person.address)
        alone = User(world, alone_id, "alone@example.com")
        async with _worker(world):
            idle = await meter.least(_nothing, person)
            found = {name: await meter.least(act, person) - idle for name, act in ACTIONS.items()}
            found["an activity without friends"] = await meter.least(_activity, alone) - idle
            found["a minute of nothing"] = await meter.minute_of_nothing()
            return found


@asynccontextmanager
async def _metering(url: str, server: EmbeddedPostgres) -> "AsyncIterator[_Meter]":
    """Connections from now on have their statements in the server's log."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        await conn.execute("ALTER SYSTEM SET log_line_prefix = '%a|'")
        await conn.execute("SELECT pg_reload_conf()")
        await conn.execute(f"ALTER DATABASE {name} SET log_statement = 'all'".encode())
        yield _Meter(conn, server.log)


class _Meter:
    """Its own connection is not called activelog, so it does not count itself."""

    def __init__(self, conn: Conn, log: Path) -> None:
        self._conn, self._log = conn, log

    async def least(self, action: Action, person: User) -> Cost:
        """Of a few: what vacuum and the worker's chores write meanwhile is not the action's."""
        costs = [await self._one(action, person, number) for number in range(ROUNDS)]
        return Cost(
            min(cost.statements for cost in costs),
            min(cost.commits for cost in costs),
            min(cost.wal for cost in costs),
        )

    async def _one(self, action: Action, person: User, number: int) -> Cost:
        before, seen = await self._written(), self._log.stat().st_size
        await action(person, number)
        own = await self._until_done()
        commits, wal = await self._written()
        return Cost(self._asked(seen, _ASKED), commits - own - before[0], wal - before[1])

    async def minute_of_nothing(self) -> Cost:
        """With heartbeats, which are left out of what actions cost."""
        before, seen = await self._written(), self._log.stat().st_size
        await asyncio.sleep(_NOTHING)
        commits, wal = await self._written()
        times = 60 / _NOTHING
        return Cost(
            self._asked(seen, _ASKED_AT_ALL) * times,
            (commits - before[0]) * times,
            (wal - before[1]) * times,
        )

    def _asked(self, since: int, pattern: re.Pattern[str]) -> int:
        with self._log.open("rb") as log:
            log.seek(since)
            return len(pattern.findall(log.read().decode(errors="replace")))

    async def _until_done(self) -> int:
        """Also what was to wait for its time, and the counts that are written each second. Returns
        how often this wrote itself."""
        own = 0
        while await self._row(_UNDONE):
            own += (await self._conn.execute(_MAKE_DUE)).rowcount > 0
            await asyncio.sleep(0.05)
        assert not await self._row(_FAILED)
        await asyncio.sleep(1.2)
        return own

    async def _written(self) -> tuple[float, float]:
        """Transactions that wrote something, and bytes of WAL, so far."""
        row = await self._row(_WRITTEN)
        assert row is not None
        return float(row[0]), float(row[1])

    async def _row(self, statement: LiteralString) -> tuple[Any, ...] | None:
        return await (await self._conn.execute(statement)).fetchone()


@asynccontextmanager
async def _worker(world: World) -> AsyncIterator[None]:
    """A while old, so that it has come to rest."""
    async with world.jobs.open_async():
        running = asyncio.create_task(world.jobs.run_worker_async(install_signal_handlers=False))
        await asyncio.sleep(_REST)
        yield
        running.cancel()
        await asyncio.wait([running])


async def _befriend(world: World, person: User, friend: User) -> None:
    await world.rows(
        "INSERT INTO friendships (user_id, friend_id) VALUES (%s, %s), (%s, %s)",
        person.id, friend.id, friend.id, person.id,
    )  # fmt: skip


async def _fill(world: World, person: User) -> None:
    """A year and more of activities, the last one days ago."""
    await world.rows(
        "INSERT INTO activities"
        " (user_id, activity_type, duration_minutes, distance_km, activity_date)"
        " SELECT %s, 'running', 45, 7.5, now() - n * interval '30 hours'"
        " FROM generate_series(3, %s + 2) AS n",
        person.id, ACTIVITIES,
    )  # fmt: skip


async def _nothing(person: User, number: int) -> None: ...


async def _activity(person: User, number: int) -> None:
    await person.log(activity_date=f"{datetime.now(UTC) - timedelta(hours=1):%FT%TZ}")


async def _page_of_activities(person: User, number: int) -> None:
    assert (await person.get("/api/v1/activities?limit=50")).status_code == 200


async def _csv(person: User, number: int) -> None:
    answer = await person.post("/api/v1/activities/export/csv", json={})
    assert answer.status_code == 202, answer.text


async def _pdf(person: User, number: int) -> None:
    year = {"report_type": "yearly", "year": datetime.now(UTC).year}
    answer = await person.post("/api/v1/activities/export/pdf", json=year)
    assert answer.status_code == 202, answer.text


async def _registration(person: User, number: int) -> None:
    answer = await person.world.register(f"new{number}@example.com")
    assert answer.status_code == 202, answer.text


async def _weekly_mail(person: User, number: int) -> None:
    """As the operator's page runs it for a week that is over."""
    day = datetime.now(UTC) - timedelta(weeks=number + 1)
    await person.world.rows(_WEEKLY, json.dumps({"day": f"{day:%F}"}))


ACTIONS: dict[str, Action] = {
    "an activity that a friend hears of": _activity,
    "a page of activities": _page_of_activities,
    "an export to CSV": _csv,
    "an export to PDF": _pdf,
    "a registration": _registration,
    "a weekly mail": _weekly_mail,
}
