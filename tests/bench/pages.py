"""The pages for admins and /metrics over HTTP, with millions of jobs in the table; each against the
limit of 100 ms."""

import asyncio
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from activelog import database
from activelog.base import auth
from activelog.http import SESSION_COOKIE
from activelog.operations import queries
from activelog.retention.queries import retention
from tests.bench.data import USER, quietly
from tests.bench.http import PORT, SECRET, api
from tests.bench.measure import Place, Result, cpu_seconds, median, places
from tests.bench.queue import OURS, drain_once, server_processes

ROUNDS, LIMIT = 7, 100.0  # ms
JOBS, MAILS = 5_000_000, 1_000_000
DRAINS, DRAINED, SLOTS = 3, 100_000, 50

# Of every ten ended jobs one failed, nine of ten with the same error; a night's worth waits, half
# of it for its time, and a few are to run again.
FILL_JOBS = """
INSERT INTO procrastinate_jobs (queue_name, task_name, status, args, attempts, scheduled_at)
SELECT (ARRAY['critical', 'default', 'low'])[n %% 3 + 1], 'activelog.bench.task_' || n %% 20,
       CASE WHEN n > %s - 100000 THEN 'todo' WHEN n %% 10 = 0 THEN 'failed' ELSE 'succeeded' END
           ::procrastinate_job_status,
       jsonb_build_object('user_id', n), (n <= %s - 100000 OR n %% 1000 = 0)::integer,
       CASE WHEN n > %s - 100000 AND n %% 2 = 0 THEN now() + interval '1 day' END
FROM generate_series(1, %s) AS n"""
FILL_EVENTS = """
INSERT INTO procrastinate_events (job_id, type, at)
SELECT id, type::procrastinate_job_event_type, now() - (%s - id) * interval '0.1 second'
FROM procrastinate_jobs, (VALUES ('deferred'), ('started'), ('succeeded')) AS v (type)
WHERE type = 'deferred' OR status <> 'todo'"""
FILL_ERRORS = """
INSERT INTO job_errors (job_id, attempt, at, kind, error, traceback)
SELECT id, 1, now() - (%s - id) * interval '0.1 second', 'error',
       CASE WHEN id %% 100 = 0
            THEN 'ValueError: number ' || id || ' went wrong in the ' || task_name
            ELSE 'ConnectionRefusedError: the relay is away' END,
       repeat('line of a traceback ', 60)
FROM procrastinate_jobs WHERE status = 'failed'"""
FILL_COUNTS = """
INSERT INTO job_counts (hour, task_name, queue_name, event, count, seconds, waited)
SELECT m, 'activelog.bench.task_' || task, 'default', event, 5, 0.1, 0.01
FROM (SELECT m
      FROM generate_series(date_trunc('hour', now()) - interval '1 year', now(), '1 hour') AS m
      UNION ALL SELECT 'infinity') AS hours,
     generate_series(0, 19) AS task, (VALUES ('enqueued'), ('succeeded'), ('failed')) AS e (event)
ON CONFLICT DO NOTHING"""
FILL_DEPTHS = """
INSERT INTO queue_depths SELECT m, queue, 9, 0.1
FROM generate_series(date_trunc('hour', now()) - interval '40 days', now(), '5 minutes') AS m,
     (VALUES ('critical'), ('default'), ('low')) AS q (queue)"""
FILL_MAILS = """
INSERT INTO mails (kind, user_id, dedup_key, message_id, state, created_at)
SELECT 'weekly_summary', %s, n, n, CASE WHEN n %% 500 = 0 THEN 'failed' ELSE 'sent' END,
       now() - n * interval '1 second'
FROM generate_series(1, %s) AS n"""

PATHS = {
    "overview": "/admin",
    "overview_days": "/admin?charts=days",
    "jobs": "/admin/jobs",
    "jobs_failed": "/admin/jobs?status=failed",
    "jobs_of_a_task": "/admin/jobs?status=failed&task=activelog.bench.task_0",
    "jobs_succeeded": "/admin/jobs?status=succeeded&queue=low",
    "jobs_waiting": "/admin/jobs?status=waiting&queue=default",
    "jobs_scheduled": "/admin/jobs?status=scheduled",
    "jobs_retrying": "/admin/jobs?status=retrying",
    "jobs_blocked": "/admin/jobs?status=blocked",
    "jobs_older": "/admin/jobs?status=failed&before=2000000",
    "jobs_of_an_error": "/admin/jobs?failure={noisy}",
    "jobs_of_a_rare_error": "/admin/jobs?failure={rare}",
    "count_of_an_error": "/admin/bulk/ask?action=retry&status=failed&failure={noisy}",
    "search_rare_error": "/admin/jobs?status=failed&text=2500000",
    "search_common_error": "/admin/jobs?status=failed&text=connectionrefused",
    "search_arguments": "/admin/jobs?text=%22user_id%22:+4999999",
    "search_old_arguments": "/admin/jobs?text=%22user_id%22:+1234567",
    "search_common_arguments": "/admin/jobs?status=failed&text=user_id",
    "search_nothing": "/admin/jobs?text=nowhere",
    "jobs_of_a_rare_task": "/admin/jobs?task=activelog.bench.rare",
    "jobs_waiting_rarely": "/admin/jobs?status=todo&task=activelog.bench.rare",
    "job": "/admin/jobs/2500000",
    "schedules": "/admin/schedules",
    "mails": "/admin/mails",
    "mails_failed": "/admin/mails?state=failed",
    "audit": "/admin/audit",
    "metrics": "/metrics",
}


def measure() -> Iterator[Result]:
    with places() as (ours, _):
        yield _cost_in_drain(ours)
    with places() as (ours, _), tempfile.TemporaryDirectory(prefix="activelog-bench-") as name:
        admin = _fill(ours)
        with api(ours, Path(name)):
            for case, form in PATHS.items():
                path = form.format(**_failures(ours))
                times = [_ask(path, admin) for _ in range(ROUNDS)]
                note = f"{path}, {JOBS:,} jobs, {MAILS:,} mails; the worst {max(times):.0f} ms"
                yield Result(f"pages.{case}", median(times), "ms", LIMIT, False, note)


def _cost_in_drain(place: Place) -> Result:
    """What is done for the pages, for each job that is drained, against a twentieth of the job."""
    costs, shares = [], []
    for _ in range(DRAINS):
        _, job = drain_once(place, OURS, DRAINED, SLOTS)
        place.execute("TRUNCATE job_words")
        before = cpu_seconds(server_processes(place))
        asyncio.run(_do_chores(place))
        costs.append((cpu_seconds(server_processes(place)) - before) / DRAINED * 1e6)
        shares.append(sum(job) / 20)
    note = f"CPU of a job, of {DRAINED:,}: adding up counts, words to search by"
    return Result("pages.cost_in_drain", median(costs), "µs", median(shares), False, note)


def _failures(place: Place) -> dict[str, object]:
    """How the pages name the errors."""
    shape = "SELECT md5(error_shape(error)) FROM job_errors WHERE job_id = %s"
    return {"noisy": place.one(shape, 10), "rare": place.one(shape, 100)}


def _fill(place: Place) -> int:
    """Returns the admin's id."""
    admin = int(str(place.one(USER, "admin@example.com")))
    place.execute("UPDATE users SET is_admin = true")
    quietly(place, FILL_JOBS, JOBS, JOBS, JOBS, JOBS)
    quietly(place, FILL_EVENTS, JOBS)
    quietly(place, FILL_ERRORS, JOBS)
    quietly(place, FILL_COUNTS)
    quietly(place, FILL_DEPTHS)
    quietly(place, FILL_MAILS, admin, MAILS)
    for table in (
        "procrastinate_jobs",
        "procrastinate_events",
        "job_errors",
        "job_counts",
        "mails",
    ):
        place.execute(f"VACUUM ANALYZE {table}")
    asyncio.run(_do_chores(place))
    return admin


async def _do_chores(place: Place) -> None:
    """What workers do for these pages, also at night."""
    async with (
        database.make_pool(place.url, max_size=1, application="bench") as pool,
        pool.connection() as conn,
    ):
        for _ in range(4):  # it counts jobs when nothing from before them is under way any more
            await queries.fold_counts(conn)
        while await queries.note_words(conn, JOBS):
            pass
        for name, statement in retention():
            params = {"now": datetime.now(UTC), "page": JOBS}
            if name == "job_count_days":
                await conn.execute(statement, params)
    place.execute("VACUUM ANALYZE job_words")
    place.execute("VACUUM ANALYZE job_counts")


def _ask(path: str, user_id: int) -> float:
    """Milliseconds to the last byte."""
    token, _ = auth.make_token(SECRET, "session", str(user_id), datetime.now(UTC))
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}", headers={"Cookie": f"{SESSION_COOKIE}={token}"}
    )
    time.sleep(0.3 if path != "/metrics" else 2.1)  # it is measured every two seconds at most
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as response:
        response.read()
        assert not response.url.endswith("/sign-in"), response.url
    return (time.perf_counter() - began) * 1000
