"""The queue against Python queues on Redis: those that are installed (`pip install -e '.[redis]'`)
on Debian's redis-server. They are not durable as ours is: Redis loses what came since it last wrote
its memory down, and knows nothing of the transaction that asks for a job."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from tests.bench.measure import Place, Result, median, places
from tests.bench.peers import ROUNDS, SLOTS, process, rate
from tests.bench.queue import OURS, ROOT, drain_once
from tests.processes import PYTHON, answers, free_port, until

THREADS = 10  # of each of two workers, or tasks at once: more make them slower
JOBS, THEIRS = 30_000, 3_000
_NAMES = ("celery", "dramatiq", "taskiq", "huey")


def measure() -> Iterator[Result]:
    if shutil.which("redis-server") is None:
        sys.exit("The suite redis needs redis-server: apt-get install redis-server")
    with places() as (ours, _), _redis() as url:
        for name in _NAMES:
            if find_spec(name):
                yield _against(name, ours, url)
            else:
                why = f"{name} is not installed: pip install -e '.[redis]'"
                print(f"queue.drain_vs_{name} is left out: {why}", file=sys.stderr)


def _against(name: str, ours: Place, url: str) -> Result:
    fast, slow = [], []
    for _ in range(ROUNDS):
        fast.append(drain_once(ours, OURS, JOBS, SLOTS)[0])
        slow.append(_drain(name, url))
    note = f"2 workers each, of {SLOTS} slots and {THREADS} threads; theirs is not durable"
    return Result(f"queue.drain_vs_{name}", median(fast), "jobs/s", median(slow), True, note)


def _drain(name: str, url: str) -> float:
    """Jobs per second."""
    command = [PYTHON, "-m", "tests.bench.redis_apps", name]
    enqueue = [*command, "enqueue", url, str(THEIRS)]
    subprocess.run(enqueue, check=True, cwd=ROOT, capture_output=True, timeout=300)
    work = [*command, "work", url, str(THREADS)]
    with process(work, ROOT) as one, process(work, ROOT) as two:
        return rate(THEIRS, one, two)


@contextmanager
def _redis() -> Iterator[str]:
    """Its URL."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="activelog-bench-") as folder:
        command = ["redis-server", "--port", str(port), "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            until(lambda: answers(port), "redis-server")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()
            server.wait()
