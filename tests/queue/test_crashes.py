"""What happens to jobs when workers die, hang, drain or lose Postgres. Real processes."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from activelog.database.migrations import migrate
from activelog.local.embedded import EmbeddedPostgres
from tests import processes
from tests.conftest import remove_data
from tests.processes import PYTHON, cpu_seconds, until
from tests.queue.conftest import MakeQueue, Queue

pytestmark = pytest.mark.slow

Own = tuple[EmbeddedPostgres, Queue]


@pytest.fixture
def own(tmp_path: Path, make_queue: MakeQueue) -> Iterator[Own]:
    """A Postgres that the test may stop and start."""
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        migrate(server.url())
        yield server, make_queue(server.url())
    remove_data(tmp_path / "postgres")


def running(queue: Queue, job_id: int) -> None:
    until(lambda: "start" in queue.marks(job_id), f"the start of job {job_id}")


def test_jobs_of_a_killed_worker_run_again_within_ten_seconds(queue: Queue) -> None:
    with queue.worker() as one, queue.worker() as two:
        queue.until_workers(2)
        time.sleep(7)  # who rescues has been steady itself
        job = queue.defer("marked", args={"seconds": 3})
        running(queue, job)
        (pid,) = queue.one("SELECT pid FROM marks")
        (one if one.pid == pid else two).kill()
        until(lambda: queue.marks(job).count("start") == 2, "the second run", 10)
        queue.until_status(job, "succeeded")
    assert queue.marks(job) == ["start", "start", "end"]
    assert queue.one("SELECT attempts FROM procrastinate_jobs") == (1,)
    assert queue.one("SELECT kind FROM job_errors") == ("death",)


def test_others_rescue_while_the_one_that_leads_cannot(queue: Queue) -> None:
    with queue.worker("--queues", "first"):
        queue.until_workers(1)
        with queue.worker() as one, queue.worker() as two:
            queue.until_workers(3)
            time.sleep(7)  # their heartbeats have been regular
            blocking = queue.defer("blocking", queue="first", args={"seconds": 30})
            running(queue, blocking)
            job = queue.defer("marked", args={"seconds": 3})
            running(queue, job)
            (pid,) = queue.one("SELECT pid FROM marks WHERE job_id = %s", job)
            (one if one.pid == pid else two).kill()
            until(lambda: queue.marks(job).count("start") == 2, "the second run", 10)


def test_a_job_whose_turn_is_a_stopped_workers_starts_soon(queue: Queue) -> None:
    with queue.worker() as stopped, queue.worker():
        queue.until_workers(2)
        time.sleep(2)  # they know of each other
        stopped.send_signal(signal.SIGSTOP)
        jobs = [queue.defer("noop") for _ in range(10)]
        for job in jobs:
            queue.until_status(job, "succeeded", 3)  # it takes six seconds to be dead


def test_a_worker_restarted_alone_finds_the_jobs_of_its_killed_self(queue: Queue) -> None:
    job = queue.defer("marked", args={"seconds": 1})
    with queue.worker() as first:
        running(queue, job)
        first.kill()
    with queue.worker():
        queue.until_status(job, "succeeded")


@pytest.mark.parametrize("task", ["marked", "in_thread"])
def test_a_zombie_cannot_finish_what_another_worker_took_over(queue: Queue, task: str) -> None:
    """A coroutine is cancelled; a thread comes to its end, which does not count."""
    job = queue.defer(task, args={"seconds": 16})
    with queue.worker() as zombie:
        queue.until_status(job, "doing")
        started = time.monotonic()
        zombie.send_signal(signal.SIGSTOP)
        with queue.worker():
            until(lambda: queue.events(job).count("started") == 2, "the second run")
            zombie.send_signal(signal.SIGCONT)
            time.sleep(max(3, started + 18 - time.monotonic()))
            assert queue.status(job) == "doing", "the second run goes on"
            queue.until_status(job, "succeeded")
        assert queue.events(job).count("succeeded") == 1
        assert queue.one("SELECT attempts FROM procrastinate_jobs") == (1,)
        if task == "marked":
            assert queue.marks(job).count("end") == 1, "the zombie dropped its own"
        after = queue.defer("marked")
        queue.until_status(after, "succeeded")  # it registered anew and works on


def test_a_worker_that_was_paused_does_not_rescue_itself(queue: Queue) -> None:
    job = queue.defer("marked", args={"seconds": 18})
    with queue.worker() as worker:
        running(queue, job)
        time.sleep(7.5)  # it looks for dead ones by now
        worker.send_signal(signal.SIGSTOP)
        time.sleep(7)
        worker.send_signal(signal.SIGCONT)
        queue.until_status(job, "succeeded")
    assert queue.marks(job) == ["start", "end"]
    assert queue.all("SELECT * FROM job_errors") == []


def test_a_stall_of_commits_makes_nothing_run_twice(own: Own) -> None:
    _, queue = own
    with queue.worker(), queue.worker():
        queue.until_workers(2)
        time.sleep(8)
        job = queue.defer("marked", args={"seconds": 20})
        running(queue, job)
        with psycopg.connect(queue.url, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
            conn.execute("SELECT pg_reload_conf()")
            time.sleep(10)
            conn.execute("SET synchronous_commit = off")
            conn.execute("ALTER SYSTEM RESET synchronous_standby_names")
            conn.execute("SELECT pg_reload_conf()")
        queue.until_status(job, "succeeded")
    assert queue.marks(job) == ["start", "end"]
    assert queue.all("SELECT * FROM job_errors") == []


def test_a_draining_worker_finishes_its_job_and_keeps_it(queue: Queue) -> None:
    job = queue.defer("marked", args={"seconds": 8})
    with queue.worker() as draining:
        running(queue, job)
        draining.send_signal(signal.SIGTERM)
        late = queue.defer("marked")
        with queue.worker():
            queue.until_status(late, "succeeded")
            assert draining.wait(timeout=15) == 0
        assert queue.marks(job) == ["start", "end"]
    assert queue.status(job) == "succeeded"
    assert queue.all("SELECT * FROM job_errors") == []


def test_after_the_grace_a_job_is_handed_back_unspent(queue: Queue) -> None:
    job = queue.defer("marked", args={"seconds": 60})
    with queue.worker("--shutdown-graceful-timeout", "1") as draining:
        running(queue, job)
        draining.send_signal(signal.SIGTERM)
        assert draining.wait(timeout=10) == 0
    assert queue.one("SELECT status::text, attempts, worker_id FROM procrastinate_jobs") == (
        "todo", 0, None,
    )  # fmt: skip
    assert queue.all("SELECT * FROM procrastinate_workers") == []


def test_a_job_that_is_handed_back_starts_elsewhere_without_a_poll(queue: Queue) -> None:
    job = queue.defer("marked", args={"seconds": 60})
    poll = ("--fetch-job-polling-interval", "60")
    with queue.worker("--shutdown-graceful-timeout", "0.1") as draining:
        running(queue, job)
        with queue.worker(*poll):
            queue.until_workers(2)
            time.sleep(1)
            draining.send_signal(signal.SIGTERM)
            until(lambda: queue.marks(job).count("start") == 2, "the second run", 10)


@pytest.mark.parametrize("task", ["marked", "stubborn", "in_thread"])
def test_a_second_sigterm_hands_back_at_once(queue: Queue, task: str) -> None:
    job = queue.defer(task, args={} if task == "stubborn" else {"seconds": 60})
    with queue.worker() as draining:
        queue.until_status(job, "doing")
        time.sleep(0.3)
        draining.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert draining.poll() is None
        draining.send_signal(signal.SIGTERM)
        assert draining.wait(timeout=5) == 0
    assert queue.one("SELECT status::text, attempts FROM procrastinate_jobs") == ("todo", 0)


def test_a_job_that_kills_its_workers_fails_after_three(queue: Queue) -> None:
    job = queue.defer("deadly")
    for _ in range(3):
        with queue.worker() as victim:
            victim.wait(timeout=30)
    with queue.worker():
        queue.until_status(job, "failed", 15)
    deaths = queue.all("SELECT error FROM job_errors WHERE kind = 'death' ORDER BY at")
    assert len(deaths) == 3
    assert "3 times" in deaths[-1][0]


def test_what_ran_beside_a_job_that_kills_is_not_blamed(queue: Queue) -> None:
    neighbours = [queue.defer("marked", args={"seconds": 2}) for _ in range(3)]
    deadly = queue.defer("deadly", args={"seconds": 1})
    for _ in range(3):
        with queue.worker() as victim:
            victim.wait(timeout=40)
    with queue.worker():
        queue.until_status(deadly, "failed", 15)
    assert {queue.status(job) for job in neighbours} == {"succeeded"}


def test_a_restart_of_postgres_loses_and_repeats_nothing(own: Own) -> None:
    server, queue = own
    with queue.worker("--fetch-job-polling-interval", "60") as worker:
        job = queue.defer("marked", args={"seconds": 0.5})
        running(queue, job)
        server.stop()
        time.sleep(3)
        server.start()
        # Its second mark waits for Postgres, or fails and the job is to be tried again.
        until(lambda: queue.status(job) != "doing", "an outcome", 10)
        assert queue.events(job).count("started") == 1
        assert ("end" in queue.marks(job)) == (queue.status(job) == "succeeded")
        assert worker.poll() is None
        queue.until_status(queue.defer("noop"), "succeeded")  # it listens: a poll is far away


def test_an_outcome_waits_for_postgres_instead_of_running_again(own: Own) -> None:
    server, queue = own
    with queue.worker("--fetch-job-polling-interval", "60") as worker:
        job = queue.defer("in_thread", args={"seconds": 1})
        queue.until_status(job, "doing")
        server.stop()
        used = cpu_seconds([worker.pid])
        time.sleep(60)  # far longer than the silence after which a worker counts as dead
        assert cpu_seconds([worker.pid]) - used < 6, "it waits and does not spin"
        server.start()
        queue.until_status(job, "succeeded", 10)
        assert worker.poll() is None
        queue.until_status(queue.defer("noop"), "succeeded")
    assert queue.events(job).count("started") == 1
    assert queue.all("SELECT * FROM job_errors") == []


@pytest.mark.parametrize("seconds", [1, 7])  # before it asks Postgres again, and while it does
def test_sigterm_ends_a_worker_whose_database_is_away(own: Own, seconds: float) -> None:
    server, queue = own
    with queue.worker("--shutdown-graceful-timeout", "2") as worker:
        queue.until_status(queue.defer("noop"), "succeeded")
        server.stop()
        time.sleep(seconds)
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=10)


STOCK = """
import asyncio, os, procrastinate
connector = procrastinate.PsycopgConnector(conninfo=os.environ["QUEUE_TEST_URL"])
app = procrastinate.App(connector=connector)
@app.task(name="stock_only")
async def stock_only(seconds=0):
    await asyncio.sleep(seconds)
async def main():
    async with app.open_async():
        await app.run_worker_async(fetch_job_polling_interval=60, install_signal_handlers=False)
asyncio.run(main())
"""


@contextmanager
def stock_worker(queue: Queue) -> Iterator[None]:
    stock = subprocess.Popen([PYTHON, "-c", STOCK], env=queue.env, stderr=subprocess.DEVNULL)
    try:
        listens = "SELECT 1 FROM pg_stat_activity WHERE starts_with(query, 'LISTEN')"
        until(lambda: queue.all(listens), "the stock worker")
        yield
    finally:
        stock.kill()
        stock.wait()


def test_a_stock_worker_beside_ours_wakes_and_works(queue: Queue) -> None:
    with stock_worker(queue):
        queue.until_status(queue.defer("stock_only"), "succeeded")


def test_a_stock_worker_beside_ours_is_not_taken_for_dead(queue: Queue) -> None:
    with stock_worker(queue), queue.worker():
        queue.until_workers(2)
        time.sleep(14)  # it beats every ten seconds
        assert len(queue.all("SELECT 1 FROM procrastinate_workers")) == 2
        job = queue.defer("stock_only", args={"seconds": 12})
        queue.until_status(job, "succeeded")
    assert queue.events(job).count("started") == 1
    assert queue.all("SELECT * FROM job_errors") == []


@pytest.mark.parametrize(
    "pair",
    [
        [{"lock": None}, {"lock": "one"}],
        [{"lock": "one"}, {"lock": "two"}],
        [{"queue": "default"}, {"queue": "low"}],
    ],
)
def test_two_idle_workers_share_two_jobs(queue: Queue, pair: list[dict[str, Any]]) -> None:
    """Whoever comes first locks both and takes one; the other one must not wait for its poll."""
    alone = ("--fetch-job-polling-interval", "60", "--concurrency", "1")
    with queue.worker(*alone), queue.worker(*alone):
        queue.until_workers(2)
        time.sleep(1)
        for _ in range(4):
            rows = queue.all(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args)"
                " SELECT coalesce(p->>'queue', 'default'), 'marked', p->>'lock',"
                " '{\"seconds\": 2}' FROM jsonb_array_elements(%s) AS p RETURNING id",
                Jsonb(pair),
            )
            for (job,) in rows:
                queue.until_status(job, "succeeded")
            marks = queue.all("SELECT what FROM marks ORDER BY at")
            assert marks == [("start",), ("start",), ("end",), ("end",)], "side by side"
            queue.all("TRUNCATE marks")


def test_a_worker_without_its_database_gives_up_with_1(queue: Queue) -> None:
    env = queue.env | {"QUEUE_TEST_URL": "postgresql://x@127.0.0.1:9/x"}
    done = processes.run("procrastinate", "worker", env=env)
    assert done.returncode == 1
