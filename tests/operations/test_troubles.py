"""The first line of the overview: what is wrong now, and what to do."""

import asyncio

import pytest

from activelog import database
from tests.conftest import World
from tests.exports.test_csv_export import request
from tests.http.test_pages import sign_in_admin

WORKER = """
WITH w AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id)
INSERT INTO our_workers (worker_id, host, pid, slots, tasks)
SELECT id, 'here', 1, 10, '{known}' FROM w
"""


async def overview(world: World) -> str:
    return (await world.http.get("/admin")).text


async def test_all_well_and_each_trouble_in_a_sentence(world: World) -> None:
    await sign_in_admin(world)
    assert "No worker is alive" in await overview(world)
    await world.rows(WORKER)
    assert "All well" in await overview(world)

    await world.rows("INSERT INTO paused_queues VALUES ('low')")
    page = await overview(world)
    assert "The queue low is paused" in page
    assert "All well" not in page
    await world.rows("DELETE FROM paused_queues")

    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args) VALUES"
        " ('default', 'known', '{}'), ('default', 'a.b&c', '{}')"
    )
    page = await overview(world)
    assert "Jobs of a.b&amp;c wait, and no worker" in page
    assert "/admin/jobs?status=todo&amp;task=a.b%26c" in page
    assert "Jobs of known wait" not in page
    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, lock) SELECT"
        " 'default', 'locked.typo', '{}', 'one' FROM generate_series(1, 3)"
    )
    assert "takes its queue: 3 jobs" in await overview(world)


async def test_a_queue_that_stands_still_at_its_limit(world: World) -> None:
    await sign_in_admin(world)
    await world.rows(WORKER)
    await world.rows("INSERT INTO queue_limits (queue_name, running) VALUES ('default', 1)")
    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status) VALUES"
        " ('default', 'known', '{}', 'doing'), ('default', 'known', '{}', 'todo')"
    )
    assert "All well" in await overview(world)
    await world.rows("UPDATE procrastinate_events SET at = now() - interval '6 minutes'")
    assert "runs as many jobs as its limit allows, and 1 job wait" in await overview(world)


async def test_what_stands_still_fails_or_cannot_leave_is_said(world: World) -> None:
    await sign_in_admin(world)
    await world.rows(WORKER)
    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args) VALUES"
        " ('default', 'known', '{}')"
    )
    assert "All well" in await overview(world)
    await world.rows("UPDATE procrastinate_events SET at = now() - interval '6 minutes'")
    assert "The first job of default has waited for more than five minutes, 1 job" in (
        await overview(world)
    )
    await world.rows(
        "WITH failed AS (UPDATE procrastinate_jobs SET status = 'failed' RETURNING id)"
        " INSERT INTO job_errors (job_id, attempt, kind, error) SELECT id, 1, 'error', 'no'"
        " FROM failed"
    )
    assert "All well" in await overview(world)
    await world.rows(
        "WITH failed AS (INSERT INTO procrastinate_jobs (queue_name, task_name, args, status)"
        "  SELECT 'default', 'known', '{}', 'failed' FROM generate_series(1, 5) RETURNING id)"
        " INSERT INTO job_errors (job_id, attempt, kind, error) SELECT id, 1, 'error', 'no'"
        " FROM failed"
    )
    page = await overview(world)
    assert "6 jobs of known failed for good, the last ones within an hour" in page
    assert "/admin/jobs?status=failed&amp;task=known" in page
    await world.rows("UPDATE procrastinate_jobs SET status = 'succeeded'")
    ada = await world.user("lovelace@example.com")
    mail = (
        "INSERT INTO mails (kind, user_id, dedup_key, message_id, state, answer, claimed_at)"
        " VALUES ('welcome', %s, %s, '<1@x>', %s, %s, now())"
    )
    away = "the mail relay is away: ConnectionRefusedError"
    await world.rows(mail, ada.id, "1", "queued", away)
    assert "The mail relay cannot be reached" in await overview(world)
    await world.rows(mail, ada.id, "2", "sent", "250 kept")
    assert "All well" in await overview(world)


async def test_exports_that_wait_outside_of_the_queue_are_counted(world: World) -> None:
    await sign_in_admin(world)
    eve = await world.user("eve@example.com")
    for _ in range(5):
        await request(eve)
    page = await overview(world)
    assert "Exports of one person at once: <strong>as usual</strong>; 3 wait for others" in page


@pytest.mark.slow
async def test_who_holds_a_lock_is_named_and_takes_no_connections(world: World) -> None:
    await sign_in_admin(world)
    await world.rows(WORKER)
    async with database.transaction(world.pool) as conn:
        await conn.execute("SET application_name = 'somebody'")
        await conn.execute("LOCK TABLE mails IN ACCESS EXCLUSIVE MODE")
        first = await world.http.get("/admin")
        assert first.status_code == 503
        assert "“activelog doctor” says why" in first.text
        waiting = asyncio.create_task(world.rows("SELECT count(*) FROM mails"))
        await world.until(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query_start < clock_timestamp() - interval '5 seconds'"
        )
        page = await overview(world)
        assert f"{conn.info.backend_pid} (somebody) holds a lock that others wait for: 1" in page
    await waiting
    assert "holds a lock" not in await overview(world)
    assert await world.value("SELECT current_setting('lock_timeout')") == "10s"


async def test_what_nobody_takes_counts_when_its_time_has_come_and_up_to_a_limit(
    world: World,
) -> None:
    await sign_in_admin(world)
    await world.rows(WORKER)
    insert = (
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, scheduled_at) SELECT"
        " 'low', %s, '{}', now() + %s::interval FROM generate_series(1, %s)"
    )
    await world.rows(insert, "typo", "1 hour", 2)
    assert "All well" in await overview(world)
    await world.rows("UPDATE procrastinate_jobs SET scheduled_at = now()")
    assert "takes its queue: 2 jobs." in await overview(world)
    await world.rows(insert, "typo", "-1 minute", 5001)
    assert "takes its queue: 5,000 jobs and more." in await overview(world)


async def test_an_old_job_that_runs_again_hides_no_others(world: World) -> None:
    """Since when the oldest waits."""
    await sign_in_admin(world)
    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status) SELECT"
        " 'low', 'known', '{}', (CASE WHEN n < 3 THEN 'cancelled' ELSE 'todo' END)"
        "::procrastinate_job_status FROM generate_series(1, 9) AS n"
    )
    await world.rows("UPDATE procrastinate_events SET at = now() - interval '9 minutes'")
    await world.rows("UPDATE procrastinate_jobs SET status = 'todo' WHERE status = 'cancelled'")
    assert 'data-label="Oldest waits since">9 min ago' in await overview(world)
    retried = "SELECT count(*) FROM procrastinate_events WHERE type = 'retried'"
    assert await world.value(retried) == 2


async def test_the_biggest_failure_is_shown_whatever_came_since(world: World) -> None:
    await sign_in_admin(world)
    await world.rows(
        "INSERT INTO failures_noted (task_name, shape, runs, first_at, last_at, job_id, error)"
        " SELECT 'small', 'shape ' || n, 1, now(), now(), 1, 'small ' || n"
        " FROM generate_series(1, 200) AS n UNION ALL"
        " SELECT 'big', 'shape', 2000, now() - interval '3 hours', now() - interval '2 hours', 1,"
        " 'the big one'"
    )
    page = await overview(world)
    assert "the big one" in page
    assert "of 201 kinds of errors" in page


async def test_a_schedule_that_failed_is_said_until_it_succeeds(world: World) -> None:
    await sign_in_admin(world)
    await world.rows(WORKER)
    await world.rows(
        "INSERT INTO schedule_ticks (task_name, periodic_id, last_tick) VALUES ('nightly', '', 1)"
    )
    run = (
        "INSERT INTO schedule_runs (task_name, tick, job_id, finished_at, outcome)"
        " VALUES ('nightly', {}, 1, now(), '{}')"
    )
    await world.rows(run.format("NULL", "failed"))
    assert "All well" in await overview(world), "it was run by hand"
    await world.rows(run.format("now()", "failed"))
    await world.rows(run.format("NULL", "succeeded"))
    assert "The last run of the schedule nightly failed" in await overview(world)
    await world.rows(run.format("now()", "succeeded"))
    assert "All well" in await overview(world)
