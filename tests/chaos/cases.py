"""One thing breaks: how long is the way back?

Each case is seconds from the break to the moment when work goes on, held against its limit: the
median and the worst of the rounds. The last one is how long a job waits for its start after an
outage, held against the same before it."""

import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import TypeVar

from activelog.database.migrations import migrate
from activelog.local.embedded import EmbeddedPostgres
from tests.conftest import remove_data
from tests.processes import until
from tests.queue.conftest import Queue, make_queue_for

LIMIT = 10.0  # seconds
T = TypeVar("T")


def killed_worker(queue: Queue, server: EmbeddedPostgres) -> float:
    """kill -9 of a worker until its job starts again in another one."""
    job = queue.defer("marked", args={"seconds": 3})
    with queue.worker() as first:
        until(lambda: queue.marks(job) == ["start"], "the first run")
        with queue.worker():
            time.sleep(2)
            first.kill()
            began = time.monotonic()
            until(lambda: queue.marks(job).count("start") == 2, "the second run")
            return time.monotonic() - began


def restarted_postgres(queue: Queue, server: EmbeddedPostgres) -> float:
    """Postgres gone for two seconds: from its return until a new job has run."""
    with queue.worker():
        queue.until_status(queue.defer("noop"), "succeeded")
        server.stop()
        time.sleep(2)
        server.start()
        began = time.monotonic()
        queue.until_status(queue.defer("noop"), "succeeded")
        return time.monotonic() - began


def absent_postgres(queue: Queue, server: EmbeddedPostgres) -> float:
    """Postgres gone for a minute while a job runs that ends meanwhile: from its return until that
    job's end is written, and another one has run. Neither runs twice."""
    with queue.worker():
        job = queue.defer("in_thread", args={"seconds": 2})
        queue.until_status(job, "doing")
        server.stop()
        time.sleep(60)
        server.start()
        began = time.monotonic()
        queue.until_status(job, "succeeded")
        queue.until_status(queue.defer("noop"), "succeeded")
        seconds = time.monotonic() - began
        started = "SELECT count(*) FROM procrastinate_events WHERE job_id = %s AND type = 'started'"
        assert queue.all(started, job) == [(1,)], "it ran twice"
        return seconds


def drained_worker(queue: Queue, server: EmbeddedPostgres) -> float:
    """SIGTERM with no grace left until the job runs elsewhere."""
    job = queue.defer("marked", args={"seconds": 3})
    with queue.worker("--shutdown-graceful-timeout", "0.1") as first:
        until(lambda: queue.marks(job) == ["start"], "the first run")
        with queue.worker():
            time.sleep(2)
            first.send_signal(signal.SIGTERM)
            began = time.monotonic()
            until(lambda: queue.marks(job).count("start") == 2, "the second run")
            return time.monotonic() - began


def latency(queue: Queue, jobs: int = 50) -> float:
    """Seconds from enqueuing to start on an idle worker, the median."""
    found: list[float] = []
    for _ in range(jobs):
        job = queue.defer("noop")
        queue.until_status(job, "succeeded")
        [(seconds,)] = queue.all(
            "SELECT extract(epoch FROM max(at) - min(at))::float FROM procrastinate_events"
            " WHERE job_id = %s AND type IN ('deferred', 'started')",
            job,
        )
        found.append(seconds)
    return median(found)


def measure_latency(queue: Queue, server: EmbeddedPostgres) -> tuple[float, float]:
    """After an outage of five seconds, and before it."""
    with queue.worker():
        queue.until_status(queue.defer("noop"), "succeeded")
        time.sleep(1)
        before = latency(queue)
        server.stop()
        time.sleep(5)
        server.start()
        queue.until_status(queue.defer("noop"), "succeeded")
        time.sleep(1)
        return latency(queue), before


CASES: dict[str, Callable[[Queue, EmbeddedPostgres], float]] = {
    "chaos.killed_worker": killed_worker,
    "chaos.restarted_postgres": restarted_postgres,
    "chaos.drained_worker": drained_worker,
    "chaos.absent_postgres": absent_postgres,
}
ONCE = {"chaos.absent_postgres"}  # it takes a minute


def measure(rounds: int) -> Iterator[tuple[str, list[float], float]]:
    """Case, seconds, and what they are held against."""
    with tempfile.TemporaryDirectory(prefix="activelog-chaos-") as name:
        folder = Path(name)
        with EmbeddedPostgres(folder / "postgres") as server:
            migrate(server.url())
            queue = make_queue_for(server.url(), folder / "worker.log")
            for case, run in CASES.items():
                wanted = 1 if case in ONCE else rounds
                yield case, [_once(queue, server, run) for _ in range(wanted)], LIMIT
            after, before = _once(queue, server, measure_latency)
            yield "chaos.latency_after_outage", [after], before
        remove_data(folder / "postgres")


def _once(queue: Queue, server: EmbeddedPostgres, run: Callable[[Queue, EmbeddedPostgres], T]) -> T:
    queue.all("TRUNCATE procrastinate_jobs, procrastinate_workers, marks CASCADE")
    return run(queue, server)
