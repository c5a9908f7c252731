"""The first line of the overview: what is wrong now, and what to do."""

from tests.conftest import World
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
