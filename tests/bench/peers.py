"""The queue against other Python queues that keep their jobs in Postgres, fsync and all: those that
are installed (`pip install -e '.[peers]'`). Queues on Redis lose what its last second held."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import psycopg

from tests.bench.measure import Place, Result, median, places
from tests.bench.queue import OURS, ROOT, drain_once
from tests.processes import PYTHON

SLOTS = 100  # of each of two workers: pgqueuer's fastest
ROUNDS = 3
JOBS = {"pgqueuer": 30_000, "saq": 3_000}


def measure() -> Iterator[Result]:
    with places() as (ours, _):
        for name in JOBS:
            if find_spec(name):
                yield _against(name, ours)
            else:
                why = f"{name} is not installed: pip install -e '.[peers]'"
                print(f"queue.drain_vs_{name} is left out: {why}", file=sys.stderr)


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
        while True:
            seen = [_next_line(process) for process in (one, two)]
            if sum(count for _, _, count in seen) >= jobs:
                first = min(first for first, _, count in seen if count)
                return jobs / (max(latest for _, latest, _ in seen) - first)


@contextmanager
def running(name: str, url: str, slots: int) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        _command(name, "work", url, slots),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _next_line(process: "subprocess.Popen[str]") -> tuple[float, float, int]:
    assert process.stdout is not None
    first, latest, count = process.stdout.readline().split()
    return float(first), float(latest), int(count)


def _command(name: str, what: str, url: str, number: int) -> list[str]:
    return [PYTHON, "-m", "tests.bench.peer_apps", name, what, url, str(number)]
