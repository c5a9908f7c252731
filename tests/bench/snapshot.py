"""A steady stream of jobs while somebody holds a snapshot (a backup, a report, a forgotten psql)
for the middle half of the time: how many of the offered jobs are done, and how long they wait until
they start. Twenty minutes; then three reports that overlap, each of two minutes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from tests.bench.measure import Place, Result, places
from tests.bench.queue import ENQUEUE, OURS, await_workers, empty, run_worker

MINUTES, RATE = 20.0, 2000
READERS_MINUTES, READERS_RATE, READER_SECONDS = 6.0, 800, 120.0
BATCH, WORKERS, SLOTS = 20, 2, 50
LIMIT, SHARE = 20.0, 0.95  # ms; of the offered rate

# Of the jobs that came within a time: how many are done, and how soon 99 of 100 began, in seconds.
DONE = """
SELECT count(*) FILTER (WHERE j.status = 'succeeded'), percentile_cont(0.99) WITHIN GROUP (
    ORDER BY extract(epoch FROM s.at - d.at))
FROM procrastinate_events d JOIN procrastinate_jobs j ON j.id = d.job_id
LEFT JOIN procrastinate_events s ON s.job_id = d.job_id AND s.type = 'started'
WHERE d.type = 'deferred' AND d.at BETWEEN to_timestamp(%s) AND to_timestamp(%s)"""


def measure() -> Iterator[Result]:
    with places() as (place, _):
        yield from _one_holder(place)
        yield from _readers(place)


def _one_holder(place: Place) -> Iterator[Result]:
    """A quarter of the time without, half of it with a snapshot, a quarter after it."""
    quarter = MINUTES * 60 / 4
    with _stream(place, RATE) as began:
        time.sleep(quarter)
        with psycopg.connect(place.url) as holder:
            _take_snapshot(holder)
            time.sleep(2 * quarter)
        time.sleep(quarter)
    held = (began() + quarter, began() + 3 * quarter)
    whole = (began(), began() + 4 * quarter)
    yield from _results(place, "snapshot.held", RATE, held, whole)


def _readers(place: Place) -> Iterator[Result]:
    """Each begins when the one before it has read a third."""
    with _stream(place, READERS_RATE) as began, ExitStack() as stack:
        end = time.monotonic() + READERS_MINUTES * 60
        while time.monotonic() < end:
            holder = stack.enter_context(psycopg.connect(place.url))
            _take_snapshot(holder)
            threading.Timer(READER_SECONDS, holder.close).start()
            time.sleep(min(READER_SECONDS / 3, max(0.0, end - time.monotonic())))
    whole = (began(), began() + READERS_MINUTES * 60)
    yield from _results(place, "snapshot.readers", READERS_RATE, whole, whole)


def _results(
    place: Place,
    case: str,
    rate: int,
    within: tuple[float, float],
    whole: tuple[float, float],
) -> Iterator[Result]:
    done, _ = _done(place, *within)
    offered = rate * (within[1] - within[0])
    note = f"jobs of that time that are done, of {rate:,}/s"
    yield Result(f"{case}_rate", done / offered, "of all", SHARE, True, note)
    _, p99 = _done(place, *whole)
    note = f"99 of 100 of all jobs began within that, at {rate:,}/s"
    yield Result(f"{case}_start_p99", 1000 * p99, "ms", LIMIT, False, note)


def _done(place: Place, since: float, until: float) -> tuple[int, float]:
    with psycopg.connect(place.url) as conn:
        row = conn.execute(DONE.encode(), [since, until]).fetchone()
        assert row is not None
        return int(row[0]), float(row[1])


@contextmanager
def _stream(place: Place, rate: int) -> Iterator[Callable[[], float]]:
    """Jobs, in batches, while it is open; gives when it began. At the end all are done."""
    empty(place)
    stop, began = threading.Event(), time.time()
    with ExitStack() as stack:
        for _ in range(WORKERS):
            stack.enter_context(run_worker(place, OURS, SLOTS))
        await_workers(place, WORKERS)
        began = time.time()
        feeding = threading.Thread(target=_feed, args=(place, rate, stop))
        feeding.start()
        try:
            yield lambda: began
        finally:
            stop.set()
            feeding.join()
        _await_the_end(place)


def _feed(place: Place, rate: int, stop: threading.Event) -> None:
    pause, due = BATCH / rate, time.monotonic()
    with psycopg.connect(place.url, autocommit=True) as conn:
        while not stop.is_set():
            conn.execute(ENQUEUE.encode(), [BATCH, "default"])
            due += pause
            time.sleep(max(0.0, due - time.monotonic()))


def _await_the_end(place: Place) -> None:
    waiting = "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))"
    until = time.monotonic() + 60
    while place.one(waiting):
        assert time.monotonic() < until, "jobs are left behind"
        time.sleep(0.2)


def _take_snapshot(conn: psycopg.Connection) -> None:
    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    conn.execute("SELECT 1 FROM procrastinate_jobs LIMIT 1")
