"""Jobs that come one by one, each in a transaction of its own, to workers that mostly wait: what a
job costs in CPU (of workers and Postgres, enqueueing included) and in WAL, against pgqueuer."""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

import psycopg

from activelog.database import Conn
from tests.bench.measure import Place, Result, cpu_seconds, median, places
from tests.bench.peer_apps import PEERS
from tests.bench.peers import database, running
from tests.bench.queue import OURS, await_workers, empty, run_worker, server_processes

RATES, SECONDS, CONNECTIONS, SLOTS = (50, 200, 500, 1000), 6, 4, 10
FLEET, HELD = 12, 60_000
ONE = """
SELECT procrastinate_defer_jobs_v1(ARRAY[
    ROW('default', 'noop', 0, NULL, NULL, '{}', NULL)::procrastinate_job_to_defer_v1])"""

Enqueue = Callable[[], Awaitable[object]]


def measure() -> Iterator[Result]:
    with places() as (ours, _):
        yield from _fleet(ours)
        yield _held(ours)
        if find_spec("pgqueuer"):
            yield from _against_pgqueuer(ours)
        else:
            why = "pgqueuer is not installed: pip install -e '.[peers]'"
            print(f"trickle.cpu_vs_pgqueuer is left out: {why}", file=sys.stderr)


def _fleet(place: Place) -> Iterator[Result]:
    """A job at 100 a second with one idle worker, and with twelve."""
    alone, _ = _cost(place, workers=1, rate=100)
    many, _ = _cost(place, workers=FLEET, rate=100)
    note = f"CPU of a job with {FLEET} idle workers, against that with one"
    yield Result("trickle.fleet", many, "ms", alone, False, note)


def _against_pgqueuer(place: Place) -> Iterator[Result]:
    url = database(place, "pgqueuer")
    asyncio.run(PEERS["pgqueuer"]().enqueue(url, 1000))  # installs its tables
    cpu, peer_cpu, wal, peer_wal = [], [], [], []
    for rate in RATES:
        ours, our_wal = _cost(place, workers=1, rate=rate)
        theirs, their_wal = _peer_cost(place, url, rate)
        cpu.append(ours)
        peer_cpu.append(theirs)
        wal.append(our_wal)
        peer_wal.append(their_wal)
    pairs = list(zip(cpu, peer_cpu, strict=True))
    shown = ", ".join(f"{a:.2f} and {b:.2f} ms" for a, b in pairs)
    ratio = median(b / a for a, b in pairs)
    note = f"CPU of a job at {RATES} a second: {shown}"
    yield Result("trickle.cpu_vs_pgqueuer", 1.0, "times", ratio, False, note)
    note = "bytes of WAL of a job at 200/s"
    yield Result("trickle.wal_vs_pgqueuer", wal[1], "bytes", peer_wal[1], False, note)


def _held(place: Place) -> Result:
    """Enqueueing one by one, free and after 60,000 under a snapshot that somebody holds."""
    empty(place)
    with run_worker(place, OURS, SLOTS):
        await_workers(place, 1)
        free = _enqueue_rate(place, 5_000)
    empty(place)
    with psycopg.connect(place.url) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT 1 FROM procrastinate_jobs LIMIT 1")
        with run_worker(place, OURS, SLOTS):
            await_workers(place, 1)
            _enqueue_rate(place, HELD)
            late = _enqueue_rate(place, 5_000)
    note = f"after {HELD:,} under a held snapshot; against the free rate"
    return Result("trickle.held_enqueue", late, "jobs/s", free, True, note)


def _enqueue_rate(place: Place, jobs: int) -> float:
    with psycopg.connect(place.url, autocommit=True) as conn:
        began = time.perf_counter()
        for _ in range(jobs):
            conn.execute(ONE.encode())
        return jobs / (time.perf_counter() - began)


def _cost(place: Place, *, workers: int, rate: int) -> tuple[float, float]:
    """Milliseconds of CPU and bytes of WAL a job."""
    empty(place)
    with ExitStack() as stack:
        pids = [stack.enter_context(run_worker(place, OURS, SLOTS)).pid for _ in range(workers)]
        await_workers(place, workers)
        with _spent(place, pids) as spent:
            jobs = asyncio.run(_trickle(place.url, rate))
            while place.one("SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'todo')"):
                time.sleep(0.1)
            time.sleep(1)
    return spent[0] / jobs * 1000, spent[1] / jobs


def _peer_cost(place: Place, url: str, rate: int) -> tuple[float, float]:
    with running("pgqueuer", url, SLOTS) as process:
        time.sleep(2)
        with _spent(place, [process.pid]) as spent:
            jobs = asyncio.run(_trickle_pgqueuer(url, rate))
            time.sleep(2)
    return spent[0] / jobs * 1000, spent[1] / jobs


@contextmanager
def _spent(place: Place, pids: list[int]) -> Iterator[list[float]]:
    """Seconds of CPU of these processes and Postgres, and bytes of WAL, when it ends."""
    spent: list[float] = []
    cpu, wal = cpu_seconds(pids + server_processes(place)), _wal(place)
    yield spent
    spent += [cpu_seconds(pids + server_processes(place)) - cpu, _wal(place) - wal]


def _wal(place: Place) -> float:
    return float(str(place.one("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")))


async def _trickle(url: str, rate: int) -> int:
    conns = [
        await psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=0)
        for _ in range(CONNECTIONS)
    ]

    def enqueue(conn: Conn) -> Enqueue:
        return lambda: conn.execute(ONE.encode())

    jobs = await _spread([enqueue(conn) for conn in conns], rate)
    for conn in conns:
        await conn.close()
    return jobs


async def _trickle_pgqueuer(url: str, rate: int) -> int:
    import asyncpg
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import Queries

    conns = [await asyncpg.connect(url) for _ in range(CONNECTIONS)]

    def enqueue(conn: Any) -> Enqueue:
        queries = Queries(AsyncpgDriver(conn))
        return lambda: queries.enqueue(["noop"], [None], [0])

    jobs = await _spread([enqueue(conn) for conn in conns], rate)
    for conn in conns:
        await conn.close()
    return jobs


async def _spread(enqueues: list[Enqueue], rate: float) -> int:
    """Over all of them; returns how many jobs."""
    return sum(await asyncio.gather(*(_poisson(one, rate / len(enqueues)) for one in enqueues)))


async def _poisson(enqueue: Enqueue, rate: float) -> int:
    """For some seconds; returns how many."""
    count, due, end = 0, time.monotonic(), time.monotonic() + SECONDS
    while (due := due + random.expovariate(rate)) < end:
        await asyncio.sleep(max(0, due - time.monotonic()))
        await enqueue()
        count += 1
    return count
