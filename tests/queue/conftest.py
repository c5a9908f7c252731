import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from activelog.queue import App
from tests import processes
from tests.queue import tasks

ROOT = Path(__file__).parents[2]


@dataclass
class Queue:
    """The queue as an operator sees it, in SQL, and workers to work it."""

    url: str
    app: App
    env: dict[str, str]
    log: Path

    def defer(self, task: str, **options: Any) -> int:
        """The job's id. `args`, `queue`, `lock`, `queueing_lock`, `at` (seconds from now)."""
        row = self.one(
            "SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(%s, %s, 0, %s, %s, %s,"
            " now() + make_interval(secs => %s))::procrastinate_job_to_defer_v1]))",
            options.get("queue", "default"), task, options.get("lock"),
            options.get("queueing_lock"), Jsonb(options.get("args", {})), options.get("at"),
        )  # fmt: skip
        return int(row[0])

    def one(self, statement: str, *params: Any) -> tuple[Any, ...]:
        rows = self.all(statement, *params)
        assert len(rows) == 1, rows
        return rows[0]

    def all(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as conn:
            cursor = conn.execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []

    def status(self, job_id: int) -> str:
        return str(self.one("SELECT status::text FROM procrastinate_jobs WHERE id = %s", job_id)[0])

    def marks(self, job_id: int) -> list[str]:
        rows = self.all("SELECT what FROM marks WHERE job_id = %s ORDER BY at", job_id)
        return [what for (what,) in rows]

    def events(self, job_id: int) -> list[str]:
        rows = self.all(
            "SELECT type::text FROM procrastinate_events WHERE job_id = %s ORDER BY id", job_id
        )
        return [kind for (kind,) in rows]

    def started(self) -> list[str]:
        """The queues of the jobs, in the order in which they started."""
        rows = self.all(
            "SELECT queue_name FROM procrastinate_events e JOIN procrastinate_jobs j"
            " ON j.id = job_id WHERE type = 'started' ORDER BY e.at, e.id"
        )
        return [name for (name,) in rows]

    def worker(self, *arguments: str) -> AbstractContextManager[Any]:
        return processes.worker(self.env, *arguments, log=self.log)

    def until_status(self, job_id: int, status: str, seconds: float = 30) -> None:
        processes.until(
            lambda: self.status(job_id) == status, f"job {job_id} being {status}", seconds
        )

    def until_workers(self, count: int) -> None:
        processes.until(
            lambda: len(self.all("SELECT 1 FROM procrastinate_workers")) == count,
            f"{count} workers",
        )

    async def work(self, **options: Any) -> None:
        """A worker in this process, until nothing is left to start."""
        async with self.app.open_async():
            await self.app.run_worker_async(wait=False, install_signal_handlers=False, **options)


MakeQueue = Callable[[str], Queue]


def make_queue_for(url: str, log: Path) -> Queue:
    """With a table where the tasks of the tests leave their marks."""
    env = dict(os.environ) | {
        "PROCRASTINATE_APP": "tests.queue.tasks.app",
        "QUEUE_TEST_URL": url,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    queue = Queue(url, tasks.make(url), env, log)
    queue.all(
        "CREATE TABLE marks (job_id bigint, pid int, what text,"
        " at timestamptz DEFAULT clock_timestamp())"
    )
    return queue


@pytest.fixture
def make_queue(tmp_path: Path) -> MakeQueue:
    return lambda url: make_queue_for(url, tmp_path / "worker.log")


@pytest.fixture
def queue(database_url: str, make_queue: MakeQueue) -> Queue:
    return make_queue(database_url)
