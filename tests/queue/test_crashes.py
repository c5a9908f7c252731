"""What happens to jobs when workers die, hang, drain or lose Postgres. Real processes."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from activelog.embedded import EmbeddedPostgres
from activelog.migrate import migrate
from tests import processes
from tests.conftest import remove_data
from tests.processes import PYTHON, cpu_seconds, until
from tests.queue.conftest import MakeQueue, Queue

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
    job = queue.defer("marked", args={"seconds": 2})
    with queue.worker() as first:
        running(queue, job)
        with queue.worker():
            first.kill()
            killed = time.monotonic()
            until(lambda: queue.marks(job).count("start") == 2, "the second run", 10)
            assert time.monotonic() - killed < 10
            queue.until_status(job, "succeeded")
    assert queue.marks(job) == ["start", "start", "end"]
    assert queue.one("SELECT attempts FROM procrastinate_jobs") == (1,)
    assert queue.one("SELECT kind FROM job_errors") == ("death",)


def test_a_worker_restarted_alone_finds_the_jobs_of_its_killed_self(queue: Queue) -> None:
    job = queue.defer("marked", args={"seconds": 1})
    with queue.worker() as first:
        running(queue, job)
        first.kill()
    with queue.worker():
        queue.until_status(job, "succeeded", 12)


def test_a_zombie_cannot_finish_what_another_worker_took_over(queue: Queue) -> None:
    job = queue.defer("marked", args={"seconds": 3})
    with queue.worker() as zombie:
        running(queue, job)
        zombie.send_signal(signal.SIGSTOP)
        with queue.worker():
            until(lambda: queue.marks(job).count("start") == 2, "the second run", 12)
            zombie.send_signal(signal.SIGCONT)
            queue.until_status(job, "succeeded")
            time.sleep(1)
        assert queue.events(job).count("succeeded") == 1
        assert queue.one("SELECT attempts FROM procrastinate_jobs") == (1,)
        after = queue.defer("marked")
        queue.until_status(after, "succeeded", 15)  # it registered anew and works on


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
    assert queue.all("SELECT id FROM procrastinate_workers w WHERE last_heartbeat IS NULL") == []


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
            until(lambda: len(queue.all("SELECT 1 FROM procrastinate_workers")) == 2, "a second")
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


def test_a_restart_of_postgres_loses_and_repeats_nothing(own: Own) -> None:
    server, queue = own
    with queue.worker() as worker:
        job = queue.defer("marked", args={"seconds": 0.5})
        running(queue, job)
        server.stop()
        time.sleep(3)
        server.start()
        # The body ended while Postgres was away (its second mark could not be written, so
        # it is retried), or its outcome was kept until it was back: it is not lost.
        until(lambda: queue.status(job) != "doing", "an outcome", 10)
        assert worker.poll() is None
        began = time.monotonic()
        after = queue.defer("noop")
        queue.until_status(after, "succeeded", 3)
        assert time.monotonic() - began < 3, "it listens again"


def test_an_outcome_waits_for_postgres_instead_of_running_again(own: Own) -> None:
    server, queue = own
    with queue.worker() as worker:
        job = queue.defer("in_thread", args={"seconds": 1})
        queue.until_status(job, "doing")
        server.stop()
        used = cpu_seconds([worker.pid])
        time.sleep(60)  # far longer than the silence after which a worker counts as dead
        assert cpu_seconds([worker.pid]) - used < 6, "it waits and does not spin"
        server.start()
        queue.until_status(job, "succeeded", 10)
        assert worker.poll() is None
        queue.until_status(queue.defer("noop"), "succeeded", 3)
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


def test_a_stock_worker_beside_ours_wakes_and_works(queue: Queue) -> None:
    script = """
import asyncio, os, procrastinate
connector = procrastinate.PsycopgConnector(conninfo=os.environ["QUEUE_TEST_URL"])
app = procrastinate.App(connector=connector)
@app.task(name="stock_only")
def stock_only(): pass
async def main():
    async with app.open_async():
        await app.run_worker_async(fetch_job_polling_interval=60, install_signal_handlers=False)
asyncio.run(main())
"""
    stock = subprocess.Popen([PYTHON, "-c", script], env=queue.env, stderr=subprocess.DEVNULL)
    try:
        until(lambda: queue.all("SELECT 1 FROM procrastinate_workers"), "the stock worker")
        time.sleep(1)
        job = queue.defer("stock_only")
        queue.until_status(job, "succeeded", 5)
    finally:
        stock.kill()
        stock.wait()


def test_a_worker_without_its_database_gives_up_with_1(queue: Queue) -> None:
    env = queue.env | {"QUEUE_TEST_URL": "postgresql://x@127.0.0.1:9/x"}
    done = processes.run("procrastinate", "worker", env=env)
    assert done.returncode == 1
