"""Jobs that come one by one, each in a transaction of its own, to workers that mostly wait: what a
job costs in CPU (of workers and Postgres, enqueueing included) and in WAL, and how long it waits
until it starts, against pgqueuer; its CPU against graphile-worker, too."""

import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
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

GRAPHILE, GRAPHILE_RATES = "graphile-worker", (50, 200, 500)  # it falls behind at 1,000
GRAPHILE_ONE = "SELECT graphile_worker.add_job('noop')"
STARTS = ("trickle.start_p50", "trickle.start_p99")
_QUANTILES = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM s.{at} - d.{at}))
FROM {table} d JOIN {table} s USING (job_id) WHERE d.{what} = '{before}' AND s.{what} = '{after}'"""
OUR_STARTS = _QUANTILES.format(
    table="procrastinate_events", at="at", what="type", before="deferred", after="started"
)
PEER_STARTS = _QUANTILES.format(
    table="pgqueuer_log", at="created", what="status", before="queued", after="picked"
)
PEER_STARTS += f" AND d.created > now() - interval '{SECONDS + 4} seconds'"

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
        if shutil.which(GRAPHILE):
            yield _against_graphile(ours)
        else:
            why = f"{GRAPHILE} is not on the PATH: npm install {GRAPHILE}"
            print(f"trickle.cpu_vs_graphile is left out: {why}", file=sys.stderr)


def _fleet(place: Place) -> Iterator[Result]:
    """A job at 100 a second with one idle worker, and with twelve."""
    alone, _ = _cost(place, workers=1, rate=100)
    many, _ = _cost(place, workers=FLEET, rate=100)
    note = f"CPU of a job with {FLEET} idle workers, against that with one"
    yield Result("trickle.fleet", many, "ms", alone, False, note)


def _against_pgqueuer(place: Place) -> Iterator[Result]:
    url = database(place, "pgqueuer")
    asyncio.run(PEERS["pgqueuer"]().enqueue(url, 1000))  # installs its tables
    cpu, peer_cpu, wal, peer_wal, starts, peer_starts = [], [], [], [], [], []
    for rate in RATES:
        ours, our_wal = _cost(place, workers=1, rate=rate)
        theirs, their_wal = _peer_cost(place, url, rate)
        cpu.append(ours)
        peer_cpu.append(theirs)
        wal.append(our_wal)
        peer_wal.append(their_wal)
        starts.append(_starts(place.url, OUR_STARTS))
        peer_starts.append(_starts(url, PEER_STARTS))
    yield _cpu("trickle.cpu_vs_pgqueuer", RATES, list(zip(cpu, peer_cpu, strict=True)))
    note = "bytes of WAL of a job at 200/s"
    yield Result("trickle.wal_vs_pgqueuer", wal[1], "bytes", peer_wal[1], False, note)
    note = "from a job's commit to its start, at 200/s"
    for case, ours, theirs in zip(STARTS, starts[1], peer_starts[1], strict=True):
        yield Result(case, ours, "ms", theirs, False, note)


def _against_graphile(place: Place) -> Result:
    url, pairs = database(place, "graphile"), []
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "tasks").mkdir()
        (Path(name) / "tasks" / "noop.js").write_text("module.exports = async () => {};\n")
        command = [GRAPHILE, "--connection", url, "--jobs", f"{SLOTS}"]
        for rate in GRAPHILE_RATES:
            ours, _ = _cost(place, workers=1, rate=rate)
            with subprocess.Popen(command, cwd=name, stdout=subprocess.DEVNULL) as process:
                time.sleep(4)
                with _spent(place, [process.pid]) as spent:
                    jobs = asyncio.run(_trickle(url, rate, GRAPHILE_ONE))
                    time.sleep(2)
                process.kill()
            pairs.append((ours, spent[0] / jobs * 1000))
    return _cpu("trickle.cpu_vs_graphile", GRAPHILE_RATES, pairs)


def _cpu(case: str, rates: tuple[int, ...], pairs: list[tuple[float, float]]) -> Result:
    """The median of theirs against ours."""
    shown = ", ".join(f"{ours:.2f} and {theirs:.2f} ms" for ours, theirs in pairs)
    note = f"CPU of a job at {rates} a second: {shown}"
    return Result(case, 1.0, "times", median(theirs / ours for ours, theirs in pairs), False, note)


def _starts(url: str, statement: str) -> list[float]:
    """Half and 99 of 100 of the latest jobs started within so many milliseconds."""
    with psycopg.connect(url) as conn:
        row = conn.execute(statement.encode()).fetchone()
        assert row is not None
        return [1000 * float(seconds) for seconds in row[0]]


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


async def _trickle(url: str, rate: int, statement: str = ONE) -> int:
    conns = [
        await psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=0)
        for _ in range(CONNECTIONS)
    ]

    def enqueue(conn: Conn) -> Enqueue:
        return lambda: conn.execute(statement.encode())

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
