"""What a night and a Sunday take with a million users and five million activities."""

import asyncio
import resource
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg

from activelog import database
from activelog.base.settings import Folder, Settings
from activelog.retention import queries as retention
from activelog.retention.tasks import PAGE
from activelog.services import make_services
from activelog.statistics import tasks
from tests.bench.data import quietly
from tests.bench.http import SECRET
from tests.bench.measure import Place, Result, median, places

USERS, DAYS, ROUNDS = 1_000_000, 5, 2
DELETED = 1_000_000
DAY = date(2024, 1, 3)
NOW = datetime(2024, 1, 7, 9, tzinfo=UTC)

MAKE_USERS = """
INSERT INTO users (email, name, password_hash, verified_at)
SELECT n || '@example.com', 'Ada', 'none', now() FROM generate_series(1, %s) AS n"""
MAKE_ACTIVITIES = """
INSERT INTO activities (user_id, activity_date, duration_minutes, distance_km, activity_type,
                        calories)
SELECT u, timestamptz '2024-01-01' + d * interval '1 day' + u %% 86400 * interval '1 second',
       u %% 180, round((u %% 42195)::numeric / 1000, 3),
       (ARRAY['running', 'ride', 'yoga', 'swim'])[u %% 4 + 1], u %% 900
FROM generate_series(0, %s) AS d, generate_series(1, %s) AS u"""
MAKE_DELETED = """
UPDATE activities SET deleted_at = timestamptz '2023-01-01' WHERE id <= %s"""

# The same figures, without keeping them.
BARE = """
SELECT count(by_type), sum(activities), sum(minutes), sum(kilometres), sum(calories) FROM (
    SELECT user_id, sum(activities) AS activities, sum(minutes) AS minutes,
           round(sum(kilometres)::numeric, 3) AS kilometres, sum(calories) AS calories,
           jsonb_object_agg(activity_type, jsonb_build_array(
               activities, minutes, round(kilometres::numeric, 3))) AS by_type
    FROM (SELECT user_id, activity_type, count(*) AS activities, sum(duration_minutes) AS minutes,
                 sum(distance_km) AS kilometres, coalesce(sum(calories), 0) AS calories
          FROM activities WHERE (activity_date AT TIME ZONE 'UTC')::date = %s AND deleted_at IS NULL
          GROUP BY user_id, activity_type) AS types
    GROUP BY user_id) AS figures"""


def measure() -> Iterator[Result]:
    with places() as (ours, _):
        quietly(ours, MAKE_USERS, USERS)
        quietly(ours, MAKE_ACTIVITIES, DAYS - 1, USERS)
        ours.execute("VACUUM ANALYZE users")
        ours.execute("VACUUM ANALYZE activities")
        yield from asyncio.run(_measure(ours))


async def _measure(place: Place) -> list[Result]:
    folder = Folder(Path("/nonexistent"))
    settings = Settings(
        database_url=place.url, secret=SECRET, storage=folder, mail=folder,
        mail_from="a@x.test", base_url="http://x.test", templates=None, strict_queues=False,
    )  # fmt: skip
    pool = database.make_pool(place.url, max_size=4, application="bench")
    async with pool:
        services = make_services(settings, pool)
        await tasks.compute_day(services, date(2023, 1, 1))  # what a process has anyway
        before = _peak()
        stats, bare = [], []
        for _ in range(ROUNDS):
            stats.append(await _seconds(tasks.compute_day(services, DAY)))
            bare.append(_bare(place))
        note = (
            f"a day of {USERS:,} users, {tasks.PAGE:,} activities a page; the rest is writing rows"
        )
        results = [
            Result("schedules.stats_vs_select", median(stats), "s", median(bare), False, note)
        ]
        seconds = await _seconds(tasks.fan_out(services, NOW.date()))
        note = f"mails and jobs of {USERS:,} users, {tasks.FAN_OUT_PAGE:,} a statement"
        results.append(
            Result("schedules.weekly_fan_out", USERS / seconds, "users/s", 20_000, True, note)
        )
        quietly(place, MAKE_DELETED, DELETED)
        place.execute("VACUUM ANALYZE activities")
        longest, total = await _clean_up(pool)
        grown = _peak() - before
        note = "how much the process grew by all three, in MB, against 20"
        results.append(Result("schedules.memory", max(grown, 0.1), "MB", 20, False, note))
        note = f"longest statement of deleting {DELETED:,} activities, all of it in {total:.0f} s"
        results.append(Result("schedules.cleanup", longest, "s", 1.0, False, note))
    return results


async def _seconds(work: object) -> float:
    began = time.perf_counter()
    await work  # type: ignore[misc]
    return time.perf_counter() - began


def _peak() -> float:
    """Of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _bare(place: Place) -> float:
    with psycopg.connect(place.url, autocommit=True) as conn:
        began = time.perf_counter()
        conn.execute(BARE.encode(), [DAY])
        return time.perf_counter() - began


async def _clean_up(pool: database.Pool) -> tuple[float, float]:
    longest, began = 0.0, time.perf_counter()
    statement = dict(retention.retention())["activities"]
    async with pool.connection() as conn:
        while True:
            started = time.perf_counter()
            deleted = await retention.delete(conn, statement, {"now": NOW, "page": PAGE})
            longest = max(longest, time.perf_counter() - started)
            if deleted < PAGE:
                return longest, time.perf_counter() - began
