"""Each tick of a schedule becomes one job, whatever happens to workers and clocks."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from activelog import database
from activelog.schedules import queries
from activelog.schedules import ticks as clock
from tests.chaos.clock import wrong_by
from tests.conftest import missing
from tests.processes import until
from tests.queue.conftest import Queue

pytestmark = pytest.mark.slow

EVERY_TWO_SECONDS = "* * * * * */2"


def with_schedules(queue: Queue, *crons: str, seconds: float = 0) -> Queue:
    """Its workers keep these; the task takes so many seconds."""
    env = {
        "PROCRASTINATE_APP": "tests.queue.clockwork.app",
        "QUEUE_TEST_CRONS": "\n".join(crons),
        "QUEUE_TEST_SECONDS": str(seconds),
    }
    return replace(queue, env=queue.env | env)


def with_a_clock(queue: Queue, offset: str) -> Queue:
    """Its workers' clock goes wrong by so much; the one that measures spans does not."""
    wrong = wrong_by(offset)
    if wrong is None:
        missing("libfaketime")
    return replace(queue, env=queue.env | wrong)


@contextmanager
def two_workers(one: Queue, other: Queue) -> Iterator[None]:
    with ExitStack() as stack:
        for queue in (one, other):
            stack.enter_context(queue.worker())
        one.until_workers(2)
        yield


def ticks(queue: Queue) -> list[int]:
    rows = queue.all("SELECT (args->>'timestamp')::bigint FROM procrastinate_jobs ORDER BY 1")
    return [tick for (tick,) in rows]


def test_missed_ticks_of_the_last_day_are_made_up_once(queue: Queue) -> None:
    now = datetime.now(UTC)
    daily = [f"{at.minute} {at.hour} * * *"
             for at in (now - timedelta(hours=hours) for hours in (1, 12, 23))]  # fmt: skip
    queue = with_schedules(queue, *daily)
    with queue.worker():
        until(lambda: len(queue.all("SELECT 1 FROM schedule_ticks")) == 3, "the schedules")
    queue.all("UPDATE schedule_ticks SET last_tick = last_tick - 26 * 3600")
    for _ in range(2):
        with two_workers(queue, queue):
            until(lambda: len(ticks(queue)) >= 3, "three jobs")
            time.sleep(1)
    hours = [round((now.timestamp() - tick) / 3600) for tick in ticks(queue)]
    assert sorted(hours) == [1, 12, 23], "not the one of 25 hours ago"


def test_a_worker_with_a_clock_that_lags_repeats_no_tick(queue: Queue) -> None:
    queue = with_schedules(queue, EVERY_TWO_SECONDS)
    late = with_a_clock(queue, "-90s")
    with two_workers(queue, late):
        until(lambda: len(ticks(queue)) >= 5, "five ticks")
    found = ticks(queue)
    assert found == list(range(found[0], found[0] + 2 * len(found), 2)), "each one, and once"
    now = queue.one("SELECT extract(epoch FROM now())::bigint")[0]
    assert abs(now - found[-1]) < 30, "by the clock of the database"


def test_a_worker_with_a_clock_that_lags_keeps_schedules_alone(queue: Queue) -> None:
    late = with_a_clock(with_schedules(queue, EVERY_TWO_SECONDS), "-90s")
    with late.worker():
        until(lambda: len(ticks(queue)) >= 3, "three ticks")
        now = queue.one("SELECT extract(epoch FROM now())::bigint")[0]
    assert abs(now - ticks(queue)[0]) < 30


def test_a_task_that_outlasts_its_schedule_does_not_overlap_itself(queue: Queue) -> None:
    queue = with_schedules(queue, EVERY_TWO_SECONDS, seconds=3)
    with two_workers(queue, queue):
        until(lambda: len(queue.all("SELECT 1 FROM marks WHERE what = 'end'")) >= 3, "three runs")
    whats = [what for (what,) in queue.all("SELECT what FROM marks ORDER BY at")]
    assert whats[:6] == ["start", "end"] * 3


def test_ticks_of_the_last_day_are_made_up() -> None:
    hour, day = 3600, 86400
    assert list(clock.due_ticks("0 2 * * *", 0, 10 * hour)) == [2 * hour]
    assert list(clock.due_ticks("0 2 * * *", 2 * hour, 10 * hour)) == []
    missed = list(clock.due_ticks("0 2 * * *", 0, 26 * hour + 1800))
    assert missed == [26 * hour], "of two missed ticks the one of the last 24 hours"
    assert len(list(clock.due_ticks("0 * * * *", 0, 5 * day))) == 24
    leap_day = 1709164800  # 2024-02-29
    assert list(clock.due_ticks("0 0 29 2 *", leap_day - day, leap_day)) == [leap_day]


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]
)
def test_the_zone_of_the_host_changes_no_tick(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for first, last in (("2024-03-30", "2024-04-01"), ("2024-10-26", "2024-10-28"),
                            ("2024-11-02", "2024-11-04"), ("2024-02-28", "2024-03-01"),
                            ("2023-12-31", "2024-01-02")):  # fmt: skip
            start, end = (
                int(datetime.fromisoformat(f"{day}T00:30:00Z").timestamp()) for day in (first, last)
            )
            ticks = [tick for day in range(start, end, 3600)
                     for tick in clock.due_ticks("0 2 * * *", day, day + 3600)]  # fmt: skip
            hours = [datetime.fromtimestamp(tick, UTC).strftime("%H:%M") for tick in ticks]
            assert hours == ["02:00"] * ((end - start) // 86400), (zone, first)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_months_tick_does_not_fall_into_a_long_outage() -> None:
    first = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp())
    assert list(clock.due_ticks("0 0 1 * *", first - 86400, first + 30 * 3600)) == [first]
    assert list(clock.due_ticks("0 0 1 * *", first, first + 30 * 3600)) == []


async def test_a_tick_becomes_one_job_whoever_comes_first(queue: Queue) -> None:
    queue.app.periodic(cron="0 * * * *")(queue.app.tasks["noop"])
    schedules = list(queue.app.periodic_registry.periodic_tasks.values())
    queue.app.periodic_registry.periodic_tasks.clear()
    pool = database.make_pool(queue.url, max_size=4, application="test")
    async with pool, pool.connection() as one, pool.connection() as two:
        await clock.register(one, schedules)
        await clock.defer_due(one, schedules)
        assert queue.all("SELECT 1 FROM procrastinate_jobs") == [], (
            "nothing is made up for a new one"
        )
        queue.all("UPDATE schedule_ticks SET last_tick = last_tick - 26 * 3600")
        await asyncio.gather(clock.defer_due(one, schedules), clock.defer_due(two, schedules))
        await clock.register(two, schedules)
        await clock.defer_due(two, schedules)
    stamps = queue.all("SELECT args->>'timestamp' FROM procrastinate_jobs")
    assert len(stamps) == len(set(stamps)) == 24
    assert all(int(stamp) % 3600 == 0 for (stamp,) in stamps)


async def test_a_schedule_with_new_times_makes_up_nothing(queue: Queue) -> None:
    pool = database.make_pool(queue.url, max_size=1, application="test")
    job = queue.app.tasks["noop"].configure().job
    async with pool, pool.connection() as conn:
        await queries.register(conn, job, "", "0 2 * * *", 1000)
        await queries.register(conn, job, "", "0 2 * * *", 2000)
        assert queue.one("SELECT last_tick FROM schedule_ticks") == (1000,)
        await queries.register(conn, job, "", "*/5 * * * *", 3000)
        assert queue.one("SELECT last_tick FROM schedule_ticks") == (3000,)


async def test_a_tick_whose_last_one_waits_is_skipped(queue: Queue) -> None:
    queue.app.task(name="ticking", queue="nobody", queueing_lock="ticking")(lambda timestamp: None)
    queue.app.periodic(cron="0 * * * *")(queue.app.tasks["ticking"])
    schedules = list(queue.app.periodic_registry.periodic_tasks.values())
    queue.app.periodic_registry.periodic_tasks.clear()
    pool = database.make_pool(queue.url, max_size=1, application="test")
    async with pool, pool.connection() as conn:
        await clock.register(conn, schedules)
        queue.all("UPDATE schedule_ticks SET last_tick = last_tick - 3 * 3600")
        await clock.defer_due(conn, schedules)
        await clock.defer_due(conn, schedules)
    assert queue.one("SELECT count(*) FROM procrastinate_jobs") == (1,)


async def test_a_tick_behind_the_last_one_is_never_deferred(queue: Queue) -> None:
    job = queue.app.tasks["noop"].configure().job
    pool = database.make_pool(queue.url, max_size=1, application="test")
    async with pool, pool.connection() as conn:
        await queries.register(conn, job, "", "* * * * *", 1000)
        assert await queries.defer_tick(conn, job, "", 2000) is not None
        assert await queries.defer_tick(conn, job, "", 2000) is None
        assert await queries.defer_tick(conn, job, "", 1910) is None, "a clock 90 s behind"


async def test_a_paused_schedule_passes_its_ticks_and_makes_up_none(queue: Queue) -> None:
    queue.app.periodic(cron="0 * * * *")(queue.app.tasks["noop"])
    schedules = list(queue.app.periodic_registry.periodic_tasks.values())
    queue.app.periodic_registry.periodic_tasks.clear()
    pool = database.make_pool(queue.url, max_size=1, application="test")
    async with pool, pool.connection() as conn:
        await clock.register(conn, schedules)
        queue.all("UPDATE schedule_ticks SET last_tick = last_tick - 3 * 3600, paused_at = now()")
        await clock.defer_due(conn, schedules)
        assert queue.one("SELECT count(*) FROM procrastinate_jobs") == (0,)
        queue.all("UPDATE schedule_ticks SET paused_at = NULL")
        await clock.defer_due(conn, schedules)
        assert queue.one("SELECT count(*) FROM procrastinate_jobs") == (0,), "nothing is made up"
        queue.all("UPDATE schedule_ticks SET last_tick = last_tick - 3600")
        await clock.defer_due(conn, schedules)
    assert queue.one("SELECT count(*) FROM procrastinate_jobs") == (1,)
