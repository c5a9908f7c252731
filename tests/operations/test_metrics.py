"""Numbers that are known, as Prometheus has them."""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest

from activelog.operations.queries import fold_counts, note_depths
from activelog.queue.job_counters import BUCKETS
from activelog.queue.queries import rescue
from tests.conftest import PASSWORD, World, missing
from tests.http.test_pages import sign_in_admin
from tests.local.test_up import Up, place

__all__ = ["place"]

HERE = Path(__file__).parent
DASHBOARD = HERE.parents[1] / "activelog" / "operations" / "dashboard.json"
NOTIFY = 'queue="default",task="activelog.activities.notify"'


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        missing(name)
    return str(found)


async def lines(world: World) -> dict[str, float]:
    world.services.memo.clear()  # it is measured every two seconds at most
    text = (await world.http.get("/metrics")).text
    found = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in found}


async def notify(world: World, jobs: int) -> None:
    for _ in range(jobs):
        await world.jobs_defer("activelog.activities.notify", activity_id=1)


async def test_runs_that_lost_their_worker_are_counted(world: World) -> None:
    await notify(world, 2)
    [(dead,), (me,)] = await world.rows(
        "INSERT INTO procrastinate_workers (last_heartbeat)"
        " VALUES (now() - interval '1 hour'), (now()) RETURNING id"
    )
    await world.rows("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s", dead)
    async with world.pool.connection() as conn:
        assert len(await rescue(conn, me, 6, 30, 3)) == 2
        assert await rescue(conn, me, 6, 30, 3) == []
    assert (await lines(world))[f"activelog_jobs_died_total{{{NOTIFY}}}"] == 2


async def test_counters_are_exact_and_only_grow(world: World) -> None:
    ada = await world.user()
    await notify(world, 3)
    await world.jobs_defer("activelog.summaries.weekly_mail", user_id=ada.id, dedup_key="gibberish")
    await world.work()
    name = 'activelog_jobs_{}_total{{queue="default",task="activelog.{}"}}'
    first = await lines(world)
    assert first[name.format("enqueued", "activities.notify")] == 3
    assert first[name.format("succeeded", "activities.notify")] == 3
    assert first[name.format("retried", "summaries.weekly_mail")] == 1
    bucket = f'activelog_job_seconds_bucket{{le="+Inf",{NOTIFY}}}'
    assert first[bucket] == 3
    await world.make_due()
    await world.rows("UPDATE procrastinate_jobs SET attempts = 3 WHERE status = 'todo'")
    await world.work()
    await world.rows("DELETE FROM procrastinate_jobs")  # retention
    await world.jobs_defer("activelog.cleanup.nightly")
    await world.work()
    second = await lines(world)
    assert second[name.format("failed", "summaries.weekly_mail")] == 1
    assert second[name.format("succeeded", "activities.notify")] == 3
    growing = [key for key in first if key.split("{")[0].endswith(("_total", "_bucket", "_count"))]
    assert all(second[key] >= first[key] for key in growing)


async def test_old_counts_are_folded_and_the_sums_stay(world: World) -> None:
    for _ in range(3):
        await notify(world, 1)
        await world.work()
    before = await lines(world)
    counted = (
        "SELECT counted_until = (SELECT max(id) FROM procrastinate_jobs) FROM job_count_progress"
    )
    while not await world.value(counted):  # when no transaction can add to it any more
        await world.rows("SELECT fold_job_counts()")
    folded = await lines(world)
    assert all(folded[key] == before[key] for key in before if "_jobs_" in key)
    assert await world.rows("SELECT * FROM job_outcomes") == []
    await world.rows(
        "UPDATE job_counts SET hour = hour - interval '2 years' WHERE hour < 'infinity'"
    )
    await world.jobs_defer("activelog.cleanup.nightly")
    await world.work()
    after = await lines(world)
    name = f"activelog_jobs_succeeded_total{{{NOTIFY}}}"
    assert after[name] == before[name] == 3
    bucket = f'activelog_job_seconds_bucket{{le="{BUCKETS[-1]:g}",{NOTIFY}}}'
    assert after[bucket] == 3
    old = "SELECT count(*) FROM job_counts WHERE hour < now() - interval '1 year'"
    assert await world.value(old) == 0, "charts show no years"


async def test_exports_are_counted_by_what_became_of_them(world: World) -> None:
    ada = await world.user()
    await ada.log()
    paths = [f"/api/v1/activities/export/{name}" for name in ("csv", "csv", "pdf")]
    asked = [(await ada.post(path, json={})).json() for path in paths]
    await ada.call("DELETE", f"/api/v1/export/{asked[1]['job_id']}")
    await world.rows(
        "UPDATE procrastinate_jobs SET status = 'doing' WHERE args->>'ticket_id' = %s",
        asked[2]["job_id"],
    )
    await world.rows("UPDATE procrastinate_jobs SET status = 'failed' WHERE status = 'doing'")
    await world.work()
    await world.rows(
        "UPDATE job_tickets SET expires_at = now() - interval '1 day'"
        " WHERE completed_at IS NOT NULL"
    )
    await world.jobs_defer("activelog.exports.expire")
    await world.work()
    found = await lines(world)
    counted = {
        name.removeprefix("activelog_exports_total"): value
        for name, value in found.items()
        if name.startswith("activelog_exports_total")
    }
    assert counted == {
        '{format="csv",outcome="requested"}': 2,
        '{format="csv",outcome="completed"}': 1,
        '{format="csv",outcome="cancelled"}': 1,
        '{format="csv",outcome="expired"}': 1,
        '{format="pdf",outcome="requested"}': 1,
        '{format="pdf",outcome="failed"}': 1,
    }


async def test_charts_show_hours_and_days(world: World) -> None:
    await sign_in_admin(world)
    await notify(world, 7)
    async with world.services.pool.connection() as conn:
        await note_depths(conn)
        await note_depths(conn)  # another worker in the same five minutes
    await world.work()
    for path in ("/admin", "/admin?charts=days"):
        page = (await world.http.get(path)).text
        runs, waiting, *_ = page.split('<figure class="chart"')[1:]
        assert ": 7 runs</title>" in runs
        assert ": 7 jobs</title>" in waiting
    assert await world.value("SELECT count(*) FROM queue_depths WHERE waiting = 7") == 1


async def test_mails_and_schedules_are_counted(world: World) -> None:
    await world.register("ada@example.com")
    await world.work()
    found = await lines(world)
    assert found['activelog_mails_total{kind="welcome",outcome="sent"}'] == 1
    for tick in (None, 1705276800, 1705363200):  # a typo by hand says nothing of the schedule
        day = {"timestamp": tick} if tick else {}
        await world.jobs_defer("activelog.summaries.daily_stats", day="gibberish", **day)
        await world.work()
    await world.rows(
        "INSERT INTO schedule_ticks VALUES ('activelog.summaries.daily_stats', 'x', 0)"
        " ON CONFLICT DO NOTHING"
    )
    failures = 'activelog_schedule_consecutive_failures{task="activelog.summaries.daily_stats"}'
    assert (await lines(world))[failures] == 2


async def test_readiness_says_what_to_do(world: World) -> None:
    ready = await world.http.get("/readyz")
    assert ready.status_code == 200
    assert "worker: none is alive: run procrastinate worker" in ready.text
    await world.rows("DELETE FROM schema_migrations WHERE name = '0002_baseline.sql'")
    unready = await world.http.get("/readyz")
    assert unready.status_code == 503
    assert "migrations: 1 to apply: run activelog migrate" in unready.text
    assert (await world.http.get("/healthz")).text == "ok\n"


async def test_when_a_job_was_due_is_shown_after_it_ran(world: World) -> None:
    async with world.jobs.open_async():
        task = world.jobs.configure_task(
            "activelog.activities.notify", schedule_in={"milliseconds": 300}
        )
        await task.defer_async(activity_id=1)
    due = await world.value("SELECT scheduled_at FROM procrastinate_jobs")
    await anyio.sleep(0.3)
    await world.work()
    assert await world.rows("SELECT status, scheduled_at FROM monitoring.jobs") == [
        ("succeeded", due)
    ]


async def test_the_views_explain_themselves(world: World) -> None:
    ada = await world.user()
    await ada.log()
    await ada.post("/api/v1/activities/export/csv", json={})
    await world.work()
    views = await world.rows("SELECT viewname::text FROM pg_views WHERE schemaname = 'monitoring'")
    assert {view for (view,) in views} == {
        "jobs",
        "queues",
        "failures",
        "slowest",
        "schedules",
        "mails",
        "exports",
        "workers",
    }
    for (view,) in views:
        await world.rows(f"SELECT * FROM monitoring.{view}")
        assert await world.value(f"SELECT obj_description('monitoring.{view}'::regclass)")
    silent = await world.rows(
        "SELECT relname, attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " WHERE relnamespace = 'monitoring'::regnamespace AND attnum > 0"
        " AND col_description(attrelid, attnum) IS NULL"
    )
    assert silent == [], "every column has a comment"
    assert await world.rows("SELECT task, status FROM monitoring.jobs WHERE queue = 'low'") == [
        ("activelog.exports.generate", "succeeded")
    ]
    await world.rows("INSERT INTO procrastinate_workers DEFAULT VALUES")
    async with world.pool.connection() as conn:
        await conn.execute("SET ROLE activelog_monitoring")
        for (view,) in views:
            await conn.execute(f"SELECT * FROM monitoring.{view}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await conn.execute("SELECT * FROM procrastinate_jobs")
        await conn.execute("RESET ROLE")


@pytest.mark.slow
def test_the_alert_rules_fire_when_they_should() -> None:
    promtool = program("promtool")
    for arguments in (
        ["check", "rules", "../../activelog/operations/alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ):
        done = subprocess.run([promtool, *arguments], cwd=HERE, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    folder = HERE.parents[1] / "activelog" / "operations"
    dashboard = _dashboard()
    code = (folder / "metrics.py").read_text() + (
        folder.parent / "http" / "access_log.py"
    ).read_text()
    asked = _of_dashboard()
    assert asked
    for panel in dashboard["panels"]:
        assert panel["description"], panel["title"]
        assert all(link["url"].startswith("${activelog}/admin") for link in panel["links"])
    for expression in asked:
        for word in re.findall(r"activelog_\w+", expression):
            name = word.removesuffix("_total").removesuffix("_bucket").removesuffix("_count")
            assert name in code or name.startswith("activelog_jobs_"), word


@pytest.mark.slow
@pytest.mark.xdist_group("local")
def test_a_real_prometheus_scrapes_a_run_whose_numbers_are_known(place: Path) -> None:
    prometheus = program("prometheus")
    up = Up(place)
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        address = up.url.removeprefix("http://")
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {"job_name": "activelog", "static_configs": [{"targets": [address]}]}
            ],
        }
        (place / "prometheus.yml").write_text(json.dumps(config))
        command = [
            prometheus,
            f"--config.file={place}/prometheus.yml",
            f"--storage.tsdb.path={place}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for number in range(4):
                body = {"email": f"ada{number}@example.com", "password": PASSWORD, "name": "Ada"}
                up.call("/api/v1/auth/register", body)
            task = 'task="activelog.accounts.welcome"'
            assert _await(port, f"activelog_jobs_succeeded_total{{{task}}}", 4.0)
            assert _await(port, 'sum(activelog_mails_total{outcome="sent"})', 8.0)
            assert _await(port, f'activelog_job_seconds_bucket{{{task},le="+Inf"}}', 4.0)
            posted = 'activelog_http_seconds_count{route="/api/v1/auth/register",status="202"}'
            assert _await(port, posted, 4.0)
            for expression in _of_dashboard():
                assert _ask(port, expression)["status"] == "success", expression
            for filled in ("Waiting", "Workers"):
                [panel] = [one for one in _dashboard()["panels"] if one["title"] == filled]
                asked = panel["targets"][0]["expr"].replace("$queue", ".*")
                assert _ask(port, asked)["data"]["result"], filled
        finally:
            server.terminate()
            server.wait()
    finally:
        up.process.terminate()
        up.process.wait(timeout=15)


def _dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def _of_dashboard() -> list[str]:
    """The expressions that it asks, of all queues."""
    return [
        target["expr"].replace("$queue", ".*")
        for panel in _dashboard()["panels"]
        for target in panel["targets"]
    ]


def _ask(port: int, query: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(url, timeout=5) as response:
        found: dict[str, Any] = json.load(response)
    return found


def _await(port: int, query: str, wanted: float) -> bool:
    """Until Prometheus answers the query with that number."""
    for _ in range(60):
        try:
            found = _ask(port, query)
            if any(float(one["value"][1]) == wanted for one in found["data"]["result"]):
                return True
        except OSError:
            pass
        time.sleep(0.5)
    return False


async def test_charts_of_the_last_hour_show_each_minute_and_who_came_and_died(
    world: World,
) -> None:
    await sign_in_admin(world)
    await world.rows(
        "INSERT INTO job_outcomes (at, task_name, queue_name, event, count, seconds, waited,"
        " seconds_buckets, waited_buckets) VALUES"
        " (now() - interval '5 minutes', 'a', 'default', 'succeeded', 96, 9.6, 48,"
        "  '{0,96,0,0,0,0,0}', '{0,0,96,0,0,0,0}'),"
        " (now() - interval '5 minutes', 'b', 'low', 'failed', 4, 4000, 360,"
        "  '{0,0,0,0,0,0,4}', '{0,0,0,0,0,4,0}'),"
        " (now() - interval '3 hours', 'a', 'default', 'succeeded', 7000, 1, 1,"
        "  '{7000,0,0,0,0,0,0}', '{7000,0,0,0,0,0,0}')"
    )
    await world.rows(
        "INSERT INTO worker_history (worker_id, host, pid, started_at, ended_at, died) VALUES"
        " (7001, 'here', 1, now() - interval '1 day', now() - interval '20 minutes', true),"
        " (7002, 'here', 2, now() - interval '10 minutes', NULL, false)"
    )
    async with world.pool.connection() as conn:
        for _ in range(2):
            await fold_counts(conn)
    page = (await world.http.get("/admin?charts=minutes")).text
    assert "100 runs</title>" in page
    assert "7,000 runs" not in page
    assert "<title>4 failed</title>" in page
    assert "Wait before a run, mean; 95 of 100 within 1 s" in page
    assert "Length of a run, mean; 95 of 100 within 0.1 s" in page
    assert ": 1 worker died</title>" in page
    assert ": 1 worker came</title>" in page
    assert ", by minute" in page
    hours = (await world.http.get("/admin")).text
    assert "7,000 runs</title>" in hours
