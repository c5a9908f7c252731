from typing import Any

import pytest

from activelog.retention import tasks
from tests.conftest import World

MAKE = """
INSERT INTO procrastinate_jobs (queue_name, task_name, status)
SELECT 'default', %s, %s FROM generate_series(1, %s)"""


async def fill(world: World, name: str, status: str, days: int, count: int = 3) -> None:
    await world.rows("ALTER TABLE procrastinate_jobs DISABLE TRIGGER USER")
    await world.rows(MAKE, name, status, count)
    await world.rows("ALTER TABLE procrastinate_jobs ENABLE TRIGGER USER")
    for kind in ("deferred", "succeeded"):
        await world.rows(
            "INSERT INTO procrastinate_events (job_id, type, at)"
            f" SELECT id, '{kind}', now() - make_interval(days => %s)"
            " FROM procrastinate_jobs WHERE task_name = %s",
            days, name,
        )  # fmt: skip


async def left(world: World) -> set[Any]:
    return {name for (name,) in await world.rows("SELECT task_name FROM procrastinate_jobs")}


async def test_jobs_go_by_age_and_outcome_and_waiting_ones_stay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "PAGE", 2)
    await fill(world, "waiting", "todo", days=400)
    await fill(world, "failed long ago", "failed", days=31)
    await fill(world, "failed", "failed", days=8)
    await fill(world, "succeeded long ago", "succeeded", days=8)
    await fill(world, "succeeded", "succeeded", days=6)
    assert await tasks.retire_jobs(world.services) == 6
    assert await left(world) == {"waiting", "failed", "succeeded"}
    assert await world.value("SELECT count(DISTINCT job_id) FROM procrastinate_events") == 9
    assert await tasks.retire_jobs(world.services) == 0


async def test_it_runs_by_hand_and_by_schedule(world: World) -> None:
    schedules = world.jobs.periodic_registry.periodic_tasks.values()
    assert {s.task.name: s.cron for s in schedules} == {
        "activelog.summaries.daily_stats": "0 0 * * *",
        "activelog.summaries.weekly": "0 9 * * 0",
        "activelog.reports.monthly": "0 0 1 * *",
        "activelog.cleanup.nightly": "0 2 * * *",
        "activelog.exports.expire": "0 2 * * *",
    }
    assert all(s.task.lock for s in schedules), "no schedule overlaps with itself"
    async with world.jobs.open_async():
        await world.jobs.configure_task("activelog.cleanup.nightly").defer_async()
    await world.work()
    assert await world.value("SELECT status::text FROM procrastinate_jobs") == "succeeded"


@pytest.mark.parametrize(
    ("table", "add"),
    [
        (
            "limits",
            (
                "INSERT INTO limits (key, hits, window_ends)"
                " SELECT n::text, 1, now() - interval '1 day' FROM generate_series(1, 3) n"
            ),
        ),
        (
            "suppressed_addresses",
            (
                "INSERT INTO suppressed_addresses (address, answer, until)"
                " SELECT n || '@x.test', '550', now() - interval '1 year'"
                " FROM generate_series(1, 3) n"
            ),
        ),
    ],
)
async def test_rows_that_somebody_holds_wait_for_the_next_night(
    world: World, table: str, add: str
) -> None:
    await world.rows(add)
    async with world.pool.connection() as conn, conn.transaction():
        await conn.execute(f"SELECT FROM {table} LIMIT 1 FOR UPDATE".encode())
        await world.jobs_defer("activelog.cleanup.nightly")
        await world.work()
        assert await world.value(f"SELECT count(*) FROM {table}") == 1
