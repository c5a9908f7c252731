"""What the jobs page says of jobs, queues and workers, and does to them."""

import re

from activelog.operations.queries import fold_counts
from tests.conftest import World
from tests.http.test_pages import sign_in_admin

DEFER = "INSERT INTO procrastinate_jobs (queue_name, task_name, lock) VALUES"


async def page(world: World, path: str) -> str:
    answer = await world.http.get(path)
    assert answer.status_code == 200, answer.text
    return " ".join(answer.text.split())


async def test_a_waiting_job_says_why(world: World) -> None:
    await sign_in_admin(world)
    await world.rows(f"{DEFER} ('q', 'known', NULL), ('q', 'unknown', NULL), ('q', 'known', 'one')")
    assert "no worker is alive" in await page(world, "/admin/jobs/1")
    worker = await world.value("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
    await world.rows(
        "INSERT INTO our_workers (worker_id, host, pid, slots, queues, tasks)"
        " VALUES (%s, 'here', 7, 10, '{q}', '{known}')",
        worker,
    )
    assert "for a free slot" in await page(world, "/admin/jobs/1")
    assert "no worker that is alive knows its task" in await page(world, "/admin/jobs/2")
    await world.rows(f"{DEFER} ('q', 'known', 'one')")
    await world.rows("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = 4")
    assert "job 4</a> holds its lock" in await page(world, "/admin/jobs/3")
    await world.rows("INSERT INTO queue_limits (queue_name, running) VALUES ('q', 1)")
    assert "as many jobs of its queue run" in await page(world, "/admin/jobs/1")
    await world.rows("INSERT INTO paused_queues (queue_name) VALUES ('q')")
    assert "its queue is paused" in await page(world, "/admin/jobs/1")
    await world.rows("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour'")
    assert "It waits" not in await page(world, "/admin/jobs/1")


async def test_arguments_that_are_none_are_refused(world: World) -> None:
    await sign_in_admin(world)
    await world.rows(f"{DEFER} ('q', 'known', NULL)")
    for args in ("no object", "[1]", '{"a": "\\u0000"}', '{"a": "\0"}', "[" * 3000 + "]" * 3000):
        answer = await world.http.post(
            "/admin/jobs/1/again", data={"args": args}, headers={"Origin": "http://activelog.test"}
        )
        assert answer.status_code == 400, args[:20]
    assert await world.value("SELECT count(*) FROM procrastinate_jobs") == 1


async def test_the_overview_shows_every_queue_and_who_works(world: World) -> None:
    await sign_in_admin(world)
    await world.rows(
        f"{DEFER} ('running', 'a', NULL), ('locked', 'a', 'one'), ('later', 'a', 'two')"
    )
    await world.rows("UPDATE procrastinate_jobs SET status = 'doing' WHERE queue_name = 'running'")
    await world.rows(
        "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 day'"
        " WHERE queue_name = 'later'"
    )
    await world.rows("INSERT INTO paused_queues (queue_name) VALUES ('paused')")
    await world.rows(
        "UPDATE procrastinate_events SET at = now() - interval '3 hours' WHERE type = 'deferred'"
    )
    await world.rows(
        "WITH ours AS (INSERT INTO procrastinate_workers (last_heartbeat)"
        " VALUES (now() - interval '15 s') RETURNING id),"
        " stock AS (INSERT INTO procrastinate_workers (last_heartbeat)"
        " VALUES (now() - interval '15 s'))"
        " INSERT INTO our_workers (worker_id, host, pid) SELECT id, 'here', 7 FROM ours"
    )
    text = await page(world, "/admin")
    for queue in ("running", "locked", "later", "paused"):
        assert f"<strong>{queue}</strong>" in text
    assert 'data-label="Oldest waits since">3 h ago' in text
    assert "<b>1</b><span>worker alive" in text
    assert "silent since" in text
    assert "a stock worker" in text
    empty = "SELECT waiting, paused, running_limit FROM monitoring.queues WHERE queue = 'empty'"
    await world.rows("INSERT INTO paused_queues (queue_name) VALUES ('empty')")
    await world.rows("INSERT INTO queue_limits (queue_name, running) VALUES ('empty', 7)")
    assert await world.rows(empty) == [(0, True, 7)]
    depths = await world.rows("SELECT queue, later FROM monitoring.queues WHERE later > 0")
    assert depths == [("later", 1)]
    assert 'data-label="Later">1</td>' in text


async def test_of_jobs_with_one_queueing_lock_one_is_retried(world: World) -> None:
    ours = await sign_in_admin(world)
    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, queueing_lock)"
        " SELECT 'nobody', 'a', 'failed', CASE WHEN n < 4 THEN 'one' END"
        " FROM generate_series(1, 5) AS n"
    )
    await world.http.post("/admin/bulk", data={"status": "failed", "action": "retry"}, headers=ours)
    await world.work()
    waiting = await world.rows(
        "SELECT id FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id"
    )
    assert waiting == [(3,), (4,), (5,)]
    refused = await world.http.post("/admin/jobs/1", data={"action": "retry"}, headers=ours)
    assert "queueing%20lock" in refused.headers["Set-Cookie"]


async def test_a_bulk_action_counts_what_its_runs_before_did(world: World) -> None:
    """Its worker died, or froze, in the middle."""
    ours = await sign_in_admin(world)
    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status)"
        " SELECT 'nobody', 'a', 'failed' FROM generate_series(1, 3)"
    )
    await world.http.post("/admin/bulk", data={"status": "failed", "action": "retry"}, headers=ours)
    await world.rows("""UPDATE job_tickets SET result = '{"done": 5}'""")
    await world.work()
    assert await world.rows("SELECT message, result FROM job_tickets") == [("8 jobs", {})]


async def test_a_bulk_action_that_failed_says_why(world: World) -> None:
    ours = await sign_in_admin(world)
    started = await world.http.post(
        "/admin/bulk", data={"status": "failed", "action": "retry"}, headers=ours
    )
    await world.rows("""UPDATE procrastinate_jobs SET args = args || '{"nonsense": 1}'""")
    await world.work()
    text = await page(world, started.headers["Location"])
    assert "Not done" in text
    assert "the arguments do not fit" in text
    ticket = await world.value("SELECT id FROM job_tickets")
    await world.rows("UPDATE job_tickets SET kind = 'export csv'")
    for path in ("/admin/bulk", "/import"):
        assert (await world.http.get(f"{path}/{ticket}")).status_code == 404


async def test_what_is_no_way_to_switch_a_queue_is_refused(world: World) -> None:
    ours = await sign_in_admin(world)
    data = {"queue": "low", "action": "explode"}
    await world.http.post("/admin/queues", data=data, headers=ours)
    assert await world.value("SELECT count(*) FROM audit") == 0


async def test_a_schedule_by_hand_keeps_its_lock(world: World) -> None:
    ours = await sign_in_admin(world)
    await world.rows(
        "INSERT INTO schedule_ticks (task_name, periodic_id, last_tick, cron, queue_name, lock)"
        " VALUES ('activelog.cleanup.nightly', '', 0, '0 2 * * *', 'low', 'cleanup')"
    )
    data = {"task": "activelog.cleanup.nightly"}
    await world.http.post("/admin/schedules", data=data, headers=ours)
    assert await world.value("SELECT lock FROM procrastinate_jobs") == "cleanup"


async def test_errors_that_differ_in_a_number_are_one_kind(world: World) -> None:
    await sign_in_admin(world)
    await world.rows(f"{DEFER} ('q', 'a', NULL)")
    await world.rows(
        """INSERT INTO job_errors (job_id, attempt, kind, error)
           SELECT 1, n, 'error', 'ValueError: ' || n || ' is not "x' || n || '"'
           FROM generate_series(1, 6) AS n"""
    )
    assert (await page(world, "/admin")).count("ValueError: ") == 1


async def test_a_queue_shows_what_ended_in_it(world: World) -> None:
    await sign_in_admin(world)
    await world.rows(
        "INSERT INTO job_counts (hour, task_name, queue_name, event, count)"
        " SELECT hour, 'a', 'low', event, 7 FROM (VALUES (date_trunc('hour', now())),"
        " ('infinity'), (now() - interval '3 days')) AS h (hour),"
        " (VALUES ('succeeded'), ('failed')) AS e (event)"
    )
    text = await page(world, "/admin")
    assert 'data-label="Succeeded in 24 h">7</td>' in text
    assert 'status=failed&amp;queue=low">7</a>' in text


async def test_a_queue_shows_its_pace_and_how_long_its_jobs_waited(world: World) -> None:
    await sign_in_admin(world)
    await world.rows(
        "INSERT INTO job_outcomes (at, task_name, queue_name, event, count, waited_buckets) VALUES"
        " (now() - interval '5 minutes', 'a', 'low', 'succeeded', 96, '{0,0,96,0,0,0,0}'),"
        " (now() - interval '5 minutes', 'b', 'low', 'retried', 4, '{0,0,0,0,0,4,0}'),"
        " (now() - interval '5 minutes', 'b', 'low', 'enqueued', 4000, '{}'),"
        " (now() - interval '20 minutes', 'a', 'low', 'succeeded', 4000, '{4000,0,0,0,0,0,0}'),"
        " (now(), 'a', 'default', 'succeeded', 1, '{0,0,0,0,0,0,1}')"
    )
    async with world.pool.connection() as conn:
        await fold_counts(conn)
    found = (await world.http.get("/api/v1/admin/queues")).json()["queues"]
    paces = {one["queue"]: one["runs_per_minute"] for one in found}
    assert 100 / 15 <= paces["low"] <= 100 / 14
    assert paces["critical"] == 0
    text = await page(world, "/admin")
    waited = re.findall(r'"95 of 100 waited">([^<]*)<', text)
    assert waited == ["over 600 s", "1 s at most"], "of critical nothing ran"


async def test_ticked_jobs_alone_are_acted_on(world: World) -> None:
    ours = await sign_in_admin(world)
    await world.rows(f"{DEFER} ('q', 'known', NULL), ('q', 'known', NULL), ('q', 'known', NULL)")
    await world.rows("UPDATE procrastinate_jobs SET status = 'failed' WHERE id < 3")
    shown = await page(world, "/admin/jobs?queue=q")
    assert shown.count('type="checkbox" form="ticked"') == 3
    form = {"job-1": "on", "job-3": "on", "action": "retry", "query": "queue=q"}
    answer = await world.http.post("/admin/jobs", data=form, headers=ours)
    assert answer.headers["Location"] == "/admin/jobs?queue=q"
    assert "retry: 1 job of 2" in await page(world, "/admin/jobs?queue=q")
    rows = await world.rows("SELECT id, status::text FROM procrastinate_jobs ORDER BY id")
    assert rows == [(1, "todo"), (2, "failed"), (3, "todo")]
    for wrong in ({"action": "retry"}, {"job-1": "on", "action": "explode"}):
        await world.http.post("/admin/jobs", data=wrong, headers=ours)
    assert await world.rows("SELECT id, status::text FROM procrastinate_jobs ORDER BY id") == rows
    assert await world.value("SELECT subject FROM audit") == "ticked: 1 job"


async def test_who_came_and_went_is_kept_for_a_week(world: World) -> None:
    await sign_in_admin(world)
    for number, beat in ((1, "now()"), (2, "now() - interval '9 seconds'")):
        await world.rows(
            f"INSERT INTO procrastinate_workers (last_heartbeat) VALUES ({beat})",
        )
        await world.rows(
            "INSERT INTO our_workers (worker_id, host, pid, slots) SELECT max(id), 'here', %s, 10"
            " FROM procrastinate_workers", number,
        )  # fmt: skip
    await world.rows(f"{DEFER} ('q', 'known', NULL)")
    await world.rows(
        "INSERT INTO job_errors (job_id, attempt, kind, error) VALUES (1, 1, 'death', 'it died')"
    )
    await world.rows("DELETE FROM procrastinate_workers")
    rows = await world.rows("SELECT pid, died FROM worker_history ORDER BY pid")
    assert rows == [(1, False), (2, True)]
    shown = await page(world, "/admin")
    assert shown.count("process 1</td>") == shown.count("process 2</td>") == 1
    assert '<strong class="failed">died</strong>' in shown
    assert '<a href="/admin/jobs/1">1</a>' in shown


async def test_the_list_says_states_as_people_think_of_them(world: World) -> None:
    await sign_in_admin(world)
    await world.rows(
        "INSERT INTO procrastinate_jobs (id, task_name, queue_name, status, attempts, scheduled_at,"
        " lock) VALUES (7001, 'a', 'default', 'doing', 0, NULL, 'one'),"
        " (7002, 'a', 'default', 'todo', 0, NULL, 'one'),"
        " (7003, 'a', 'default', 'todo', 0, NULL, 'two'),"
        " (7004, 'a', 'default', 'todo', 0, now() + interval '1 hour', NULL),"
        " (7005, 'a', 'default', 'todo', 2, now() + interval '1 hour', NULL)"
    )
    page = (await world.http.get("/admin/jobs?queue=default")).text
    for words in ("running", "waiting", "scheduled", "retrying"):
        assert page.count(f">{words}</span>") == 1, words
    assert '>blocked by <a href="/admin/jobs/7001">7001</a>' in page
