"""What a worker and Postgres tell each other in one round trip: what ended, and what to run."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import psycopg
from procrastinate.jobs import Job

from activelog.db import Conn
from activelog.errors import Permanent
from activelog.queue import store
from activelog.queue.counts import Counts
from activelog.queue.end import Claimed, End
from activelog.queue.fronts import Fronts
from activelog.queue.lifeline import Lifeline
from activelog.queue.shares import Shares

LEARN_SECONDS = 1.0  # between two looks for queues that are new

logger = logging.getLogger(__name__)


class Exchange:
    """`queues` None: all that there are. `on_more` is called when the next turn should not wait."""

    def __init__(
        self,
        line: Lifeline,
        *,
        tasks: list[str],
        queues: list[str] | None,
        weights: Mapping[str, float] | None,
        on_more: Callable[[], None],
    ) -> None:
        self._line = line
        self._tasks = tasks
        self._queues = queues
        self._on_more = on_more
        self._shares = Shares(weights)
        self._fronts = Fronts()
        self._counts = Counts()
        self._has_plenty = False  # the last claim filled all slots: there may be more
        self._saw_all = True  # that could start
        self._learn_at = 0.0

    @property
    def is_unfinished(self) -> bool:
        """There is more to write, or maybe to claim, also when nothing happens meanwhile."""
        return self._counts.are_pending or not self._saw_all

    async def turn(
        self, worker_id: int | None, ends: list[End], slots: int, *, is_last: bool = False
    ) -> list[Claimed]:
        """Writes `ends` and claims up to `slots` jobs; without a worker's id none."""
        if time.monotonic() > self._learn_at:  # also one that is busy hears of new queues
            await self.learn_queues()
        self._counts.add(ends)
        slots = slots if worker_id else 0
        counts = self._counts.due(is_busy=self._has_plenty and not is_last)
        written, claimed = await self._write_and_claim(worker_id or 0, ends, slots, counts)
        for end in ends:
            if end.job.id not in written:
                logger.warning("Job %s ended here, but it is another worker's now", end.job.id)
        self._note_claim([one.job for one in claimed], slots)
        return claimed

    async def learn_queues(self) -> bool:
        """True when there are new ones."""
        self._learn_at = time.monotonic() + LEARN_SECONDS
        names = await self._line(store.queue_names) if self._queues is None else self._queues
        return self._shares.add(names)

    async def seconds_until_ready(self) -> float | None:
        """How long until a job can start; None when none waits."""
        return await self._line(
            lambda conn: store.seconds_until_ready(conn, self._shares.passes, self._tasks)
        )

    def _note_claim(self, jobs: list[Job], slots: int) -> None:
        self._shares.started(job.queue for job in jobs)
        self._has_plenty = slots > 0 and len(jobs) == slots
        self._saw_all = not slots or self._fronts.claimed(jobs, slots)
        if self.is_unfinished and not self._has_plenty:
            self._on_more()

    async def _write_and_claim(
        self, worker_id: int, ends: list[End], slots: int, counts: dict[str, Any] | None
    ) -> tuple[set[int], list[Claimed]]:
        try:
            found = await self._line(lambda conn: self._call(conn, worker_id, ends, slots, counts))
        except psycopg.errors.UniqueViolation:
            # A stock worker wanted the same lock at the same moment, or a retry met a waiting job
            # that holds its queueing lock. One by one the guilty end shows, and fails.
            self._on_more()
            return {job_id for end in ends for job_id in await self._write_alone(end)}, []
        if counts:
            self._counts.written()
        return found

    async def _write_alone(self, end: End) -> set[int]:
        try:
            written, _ = await self._line(lambda conn: self._call(conn, 0, [end], 0, None))
        except psycopg.errors.UniqueViolation:
            error = Permanent("a job with the same queueing lock is already waiting")
            failed = msgspec.structs.replace(end, status="failed", retry_at=None, error=error)
            self._counts.replace(end, failed)
            written, _ = await self._line(lambda conn: self._call(conn, 0, [failed], 0, None))
        return written

    async def _call(
        self,
        conn: Conn,
        worker_id: int,
        ends: list[End],
        slots: int,
        counts: dict[str, Any] | None,
    ) -> tuple[set[int], list[Claimed]]:
        return await store.turn(
            conn,
            worker_id=worker_id,
            ends=ends,
            counts=counts,
            slots=slots,
            tasks=self._tasks,
            passes=self._shares.passes,
            weights=self._shares.weights(),
            fronts=self._fronts.of(self._shares.passes) if slots else [],
        )
