"""The queue against others that keep their jobs in Postgres, fsync and all: those that are
installed (`pip install -e '.[peers]'`; graphile-worker, of Node, when it is on the PATH). Those on
Redis are in redis.py."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg

from tests.bench.measure import Place, Result, median, places
from tests.bench.queue import OURS, ROOT, drain_once
from tests.processes import PYTHON

SLOTS = 100  # of each of two workers: pgqueuer's fastest
ROUNDS = 3
JOBS = {"pgqueuer": 30_000, "saq": 3_000}

GRAPHILE = "graphile-worker"
GRAPHILE_ENQUEUE = "SELECT count(graphile_worker.add_job('noop')) FROM generate_series(1, %s)"
# As peer_apps.py: what its worker ran so far, every tenth of a second.
GRAPHILE_TASK = """
let first = 0, latest = 0, count = 0;
setInterval(() => console.log(first, latest, count), 100);
module.exports = async () => {
  latest = Number(process.hrtime.bigint()) / 1e9;
  first ||= latest;
  count += 1;
};
"""
GRAPHILE_BATCHES = """
module.exports = { worker: {
  localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0,
} };
"""


def measure() -> Iterator[Result]:
    with places() as (ours, _):
        for name in JOBS:
            if find_spec(name):
                yield _against(name, ours)
            else:
                why = f"{name} is not installed: pip install -e '.[peers]'"
                print(f"queue.drain_vs_{name} is left out: {why}", file=sys.stderr)
        if shutil.which(GRAPHILE):
            yield _against_graphile(ours)
        else:
            why = f"{GRAPHILE} is not on the PATH: npm install {GRAPHILE}"
            print(f"queue.drain_vs_graphile is left out: {why}", file=sys.stderr)


def _against(name: str, ours: Place) -> Result:
    url = database(ours, name)
    fast, slow = [], []
    for _ in range(ROUNDS):
        fast.append(drain_once(ours, OURS, JOBS["pgqueuer"], SLOTS)[0])
        slow.append(_drain(name, url))
    note = f"2 workers each, {SLOTS} slots or jobs in a batch"
    return Result(f"queue.drain_vs_{name}", median(fast), "jobs/s", median(slow), True, note)


def database(ours: Place, name: str) -> str:
    with psycopg.connect(ours.server.url("postgres"), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
    return ours.server.url(name)


def _drain(name: str, url: str) -> float:
    """Jobs per second."""
    jobs = JOBS[name]
    subprocess.run(_command(name, "enqueue", url, jobs), check=True, cwd=ROOT, timeout=300)
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("ANALYZE")
    with running(name, url, SLOTS) as one, running(name, url, SLOTS) as two:
        return rate(jobs, one, two)


def _against_graphile(ours: Place) -> Result:
    """In its batch mode."""
    url, jobs = database(ours, "graphile"), JOBS["pgqueuer"]
    fast, slow = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tasks").mkdir()
        (folder / "tasks" / "noop.js").write_text(GRAPHILE_TASK)
        (folder / "graphile.config.js").write_text(GRAPHILE_BATCHES)
        command = [GRAPHILE, "--connection", url, "--jobs", f"{SLOTS}"]
        subprocess.run([*command, "--schema-only"], cwd=folder, check=True, capture_output=True)
        for _ in range(ROUNDS):
            fast.append(drain_once(ours, OURS, jobs, SLOTS)[0])
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute(GRAPHILE_ENQUEUE.encode(), [jobs])
                conn.execute("ANALYZE")
            with process(command, folder) as one, process(command, folder) as two:
                slow.append(rate(jobs, one, two))
    note = f"2 workers each, {SLOTS} slots; graphile-worker fetches 500 jobs at a time"
    return Result("queue.drain_vs_graphile", median(fast), "jobs/s", median(slow), True, note)


def rate(jobs: int, *workers: "subprocess.Popen[str]") -> float:
    """Jobs per second, by what workers print."""
    while True:
        seen = [_next_line(worker) for worker in workers]
        if sum(count for _, _, count in seen) >= jobs:
            first = min(first for first, _, count in seen if count)
            return jobs / (max(latest for _, latest, _ in seen) - first)


def running(name: str, url: str, slots: int) -> AbstractContextManager["subprocess.Popen[str]"]:
    return process(_command(name, "work", url, slots), ROOT)


@contextmanager
def process(command: list[str], folder: Path) -> Iterator["subprocess.Popen[str]"]:
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def _next_line(worker: "subprocess.Popen[str]") -> tuple[float, float, int]:
    assert worker.stdout is not None
    while True:
        words = worker.stdout.readline().split()
        if len(words) == 3 and words[0][:1].isdigit():  # others are of a log
            return float(words[0]), float(words[1]), int(words[2])


def _command(name: str, what: str, url: str, number: int) -> list[str]:
    return [PYTHON, "-m", "tests.bench.peer_apps", name, what, url, str(number)]
