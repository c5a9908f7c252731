"""The queue against stock procrastinate, on one machine, one Postgres, in one run."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from activelog.queue.claims import FRONT
from tests.bench.http import http
from tests.bench.measure import Place, Result, cpu_seconds, median, places
from tests.processes import PYTHON

ROOT = Path(__file__).parents[2]
ROUNDS = 3
CONCURRENCY = 50
BACKLOG = 300_000
FANNED_OUT, PAGE = 1_000_000, 10_000
OURS, STOCK = "tests.bench.queue_apps.ours", "tests.bench.queue_apps.stock"

ENQUEUE = """
SELECT count(procrastinate_defer_jobs_v1((
    SELECT array_agg(job) FROM generate_series(1, %s), LATERAL (
        SELECT ROW(%s::text, 'noop', 0, NULL, NULL, '{}', NULL)::procrastinate_job_to_defer_v1
    ) AS made (job))))"""

SPAN = """
SELECT extract(epoch FROM max(at) FILTER (WHERE type = 'succeeded')
                          - min(at) FILTER (WHERE type = 'started'))
FROM procrastinate_events"""


def measure() -> Iterator[Result]:
    with places() as (ours, stock):
        yield from drain(ours, stock)
        yield from latency(ours, stock)
        yield from fan_out(ours, stock)
        yield from http(ours, stock)
        yield from claim_cost(ours)


# Draining


def drain(ours: Place, stock: Place) -> Iterator[Result]:
    fast, slow, costs = [], [], []
    for _ in range(ROUNDS):
        rate, cost = drain_once(ours, OURS, 30_000, CONCURRENCY)
        fast.append(rate)
        costs.append(cost)
        slow.append(drain_once(stock, STOCK, 3_000, CONCURRENCY)[0])
    worker, postgres = (median(cost[index] for cost in costs) for index in (0, 1))
    note = (
        f"2 workers, -c {CONCURRENCY}; a job costs {worker:.0f} µs of worker and {postgres:.0f} µs"
        f" of Postgres CPU, and both cores are busy: CPU is the limit"
    )
    yield Result("queue.drain_vs_stock", median(fast), "jobs/s", median(slow), True, note)
    rate, _ = drain_once(ours, OURS, BACKLOG, CONCURRENCY)
    note = f"{BACKLOG:,} jobs that wait, and 30,000"
    yield Result("queue.drain_backlog", rate, "jobs/s", median(fast), True, note)


def drain_once(place: Place, app: str, jobs: int, slots: int) -> tuple[float, tuple[float, float]]:
    """Jobs per second of two workers, and µs of worker and of Postgres CPU per job."""
    empty(place)
    with run_worker(place, app, slots) as one, run_worker(place, app, slots) as two:
        await_workers(place, 2)
        workers, servers = [one.pid, two.pid], server_processes(place)
        before = cpu_seconds(workers), cpu_seconds(servers)
        place.execute(ENQUEUE, jobs, "default")
        place.execute("ANALYZE procrastinate_jobs")  # as autovacuum would, but now, for both
        while place.one("SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'todo')"):
            time.sleep(0.1)
        time.sleep(0.3)
        seconds = float(str(place.one(SPAN)))
        worker = (cpu_seconds(workers) - before[0]) / jobs * 1e6
        postgres = (cpu_seconds(servers) - before[1]) / jobs * 1e6
    return jobs / seconds, (worker, postgres)


# Latency


def latency(ours: Place, stock: Place) -> Iterator[Result]:
    fast, slow = [], []
    for _ in range(ROUNDS):
        fast += _latencies(ours, OURS)
        slow += _latencies(stock, STOCK)
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        value, against = (_quantile(found, share) for found in (fast, slow))
        case = "queue.latency_vs_stock" if name == "p50" else "queue.latency_vs_stock.p99"
        yield Result(case, value, "ms", against, False, f"{name}, enqueue to start, idle worker")


def _latencies(place: Place, app: str) -> list[float]:
    """Milliseconds from the commit of a job to its start, as Postgres' clock has them."""
    empty(place)
    with run_worker(place, app), psycopg.connect(place.url, autocommit=True) as conn:
        await_workers(place, 1)
        for _ in range(120):
            conn.execute(ENQUEUE.encode(), [1, "default"])
            time.sleep(0.02)
        time.sleep(0.5)
        rows = conn.execute(
            "SELECT extract(epoch FROM s.at - d.at) * 1000 FROM procrastinate_events s"
            " JOIN procrastinate_events d USING (job_id)"
            " WHERE s.type = 'started' AND d.type = 'deferred' ORDER BY job_id OFFSET 20"
        ).fetchall()
    return [float(row[0]) for row in rows]


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


# Fan-out


def fan_out(ours: Place, stock: Place) -> Iterator[Result]:
    fast, memory = _fan_out(ours)
    slow, _ = _fan_out(stock)
    note = f"{FANNED_OUT:,} jobs, one statement per page of {PAGE:,}"
    yield Result("queue.fanout_vs_engine", fast, "jobs/s", slow, True, note)
    note = "the session's own memory at the end; against that after ten pages and 10 MB more"
    yield Result("queue.fanout_memory", memory[-1], "MB", memory[9] + 10, False, note)


def _fan_out(place: Place) -> tuple[float, list[float]]:
    """Jobs per second, and the session's memory in MB after each page."""
    empty(place)
    memory = []
    with psycopg.connect(place.url, autocommit=True) as conn:
        status = Path(f"/proc/{conn.info.backend_pid}/status")
        began = time.perf_counter()
        for _ in range(FANNED_OUT // PAGE):
            conn.execute(ENQUEUE.encode(), [PAGE, "default"])
            memory.append(int(status.read_text().split("RssAnon:")[1].split()[0]) / 1024)
        return FANNED_OUT / (time.perf_counter() - began), memory


# What claiming costs with much else in the table

INSERT = """
INSERT INTO procrastinate_jobs (queue_name, task_name, status, scheduled_at, lock)
SELECT {queue}, 'noop', {status}, {at}, {lock} FROM generate_series(1, {count})"""

CROWDS = {
    "finished": {"count": "1000000", "status": "'succeeded'"},
    "future": {"count": "100000", "at": "now() + interval '1 day'"},
    "other_queue": {"count": "100000", "queue": "'other'"},
    "one_lock": {"count": "10000", "lock": "'held'"},
    "one_lock_due": {"count": "10000", "lock": "'held'", "at": "now() - interval '1 hour'"},
}


def claim_cost(ours: Place) -> Iterator[Result]:
    defaults = {"queue": "'default'", "status": "'todo'", "at": "NULL", "lock": "NULL"}
    empty(ours)
    nothing_else = _claim(ours)
    for name, crowd in CROWDS.items():
        empty(ours)
        with psycopg.connect(ours.url, autocommit=True) as conn:
            conn.execute("SET session_replication_role = replica")  # no events for the crowd
            conn.execute(INSERT.format(**(defaults | crowd)).encode())
            if name.startswith("one_lock"):
                held = {"count": "1", "lock": "'held'", "status": "'doing'"}
                conn.execute(INSERT.format(**(defaults | held)).encode())
            conn.execute("ANALYZE procrastinate_jobs")
        note = f"claiming one job with {int(crowd['count']):,} of them there, and with none"
        yield Result(f"queue.claim_{name}", _claim(ours), "ms", nothing_else, False, note)


def _claim(place: Place) -> float:
    """Milliseconds for claiming and finishing one ready job, the median of 200."""
    taken = []
    with psycopg.connect(place.url, autocommit=True, prepare_threshold=0) as conn:
        row = conn.execute(
            "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"
        ).fetchone()
        assert row is not None
        for _ in range(200):
            conn.execute(ENQUEUE.encode(), [1, "default"])
            began = time.perf_counter()
            claimed = conn.execute(
                "SELECT id FROM claim_jobs(%s, 10, %s, %s, %s, %s, %s, %s, %s)"
                " WHERE id IS NOT NULL",
                [row[0], ["noop"], ["default"], ["default"], [3.0], [0.0], [FRONT[0]], [FRONT[1]]],
            ).fetchall()
            taken.append((time.perf_counter() - began) * 1000)
            assert len(claimed) == 1
            conn.execute(
                "UPDATE procrastinate_jobs SET status = 'succeeded' WHERE id = %s", claimed[0]
            )
    return median(taken)


# Processes and tables


@contextmanager
def run_worker(
    place: Place, app: str, slots: int = CONCURRENCY
) -> Iterator["subprocess.Popen[bytes]"]:
    env = dict(os.environ) | {
        "PROCRASTINATE_APP": app,
        "QUEUE_BENCH_URL": place.url,
        "PYTHONPATH": str(ROOT),
    }
    command = [PYTHON, "-m", "procrastinate", "--log-level", "warning", "worker",
               "--concurrency", str(slots)]  # fmt: skip
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def await_workers(place: Place, count: int) -> None:
    while int(str(place.one("SELECT count(*) FROM procrastinate_workers"))) < count:
        time.sleep(0.05)
    time.sleep(1)  # listening comes a moment after registering


def empty(place: Place) -> None:
    place.execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")
    place.execute("VACUUM ANALYZE procrastinate_jobs")


def server_processes(place: Place) -> list[int]:
    server = place.server.pid
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [int(child) for child in children] + [server or 0]
