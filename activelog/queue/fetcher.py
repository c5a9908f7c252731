"""Turns: each writes the outcomes of runs and claims what fits, in one round trip. What ends
meanwhile is the next turn's, so outcomes are written in batches under load and at once otherwise.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import psycopg
from procrastinate import worker as stock

from activelog import database
from activelog.base.errors import Permanent
from activelog.database import Conn, ReconnectingConnection
from activelog.queue import queries
from activelog.queue.claims import ScanPositions, StrideScheduler
from activelog.queue.outcome import Outcome, Run

# A job that seems ready and was not to be had: another worker is claiming it, or has left it.
_FIRST_LOOK, _LONGEST_LOOK = 0.01, 0.5  # seconds

logger = logging.getLogger(__name__)


class Fetcher:
    """On a connection of its own, which may be away for `outage` seconds, it writes a worker's
    outcomes and claims jobs for it, shared by the weights of `shares`. `running` gives the ids of
    jobs that run. `queues` None: all."""

    def __init__(
        self,
        worker: stock.Worker,
        url: str,
        outage: float,
        shares: Mapping[str, float] | None,
        running: Callable[[], list[int]],
    ) -> None:
        self._worker = worker
        self.connection = ReconnectingConnection(url, outage, self.hand_back_unseen)
        self.outcomes: list[Outcome] = []  # to be written
        self.written: list[Outcome] = []  # to be counted
        self.claim_at = 0.0  # for jobs, by the monotonic clock
        self.tasks = list(worker.app.tasks)
        self.queues = None if worker.queues is None else list(worker.queues)
        self._poll = worker.fetch_job_polling_interval
        # Otherwise it looks after each outcome: nothing tells it of jobs, or it is to end.
        self._is_told_of_jobs = worker.wait and worker.listen_notify
        self._running = running
        self._scheduler = StrideScheduler(shares)
        self._positions = ScanPositions()
        self._being_written: list[Outcome] = []  # to the database
        self._retry_pause = _FIRST_LOOK

    def is_time_to_claim(self) -> bool:
        return time.monotonic() >= self.claim_at

    async def turn(self, slots: int) -> list[Run]:
        """Writes outcomes, and claims up to `slots` jobs when it is time to look for some. One that
        ended alone makes no other one ready, unless it held a lock or is to run again."""
        self._being_written, self.outcomes = self.outcomes, []
        if any(map(self._may_make_ready, self._being_written)):
            self.claim_at = 0.0
        slots = slots if self.is_time_to_claim() else 0
        if not (self._being_written or slots):
            return []
        if slots:
            self.claim_at = math.inf  # a notification during the claim sets it again
        try:
            began = time.monotonic()
            claimed, ready_in = await self._complete_and_claim(self._being_written, slots)
        except BaseException:
            self.outcomes = self._being_written + self.outcomes
            self.claim_at = 0.0
            raise
        finally:
            self._being_written = []
        if slots:
            pause = self._pause(claimed, slots, ready_in, time.monotonic() - began)
            self.claim_at = min(self.claim_at, time.monotonic() + pause)
        return claimed

    def _may_make_ready(self, outcome: Outcome) -> bool:
        return outcome.job.lock is not None or outcome.status == "todo" or not self._is_told_of_jobs

    def _pause(
        self, claimed: list[Run], slots: int, ready_in: float | None, seconds: float
    ) -> float:
        """Seconds until the next look, after one that took `seconds`. `ready_in`: until a job can
        start; None: none is known."""
        jobs = [one.job for one in claimed]
        self._scheduler.started(job.queue for job in jobs)
        saw_all = self._positions.found(jobs, slots, seconds)
        if claimed:
            self._retry_pause = _FIRST_LOOK
        if len(claimed) == slots or not saw_all:
            return 0.0
        if ready_in is None:
            return self._poll
        if ready_in > 0:
            return min(self._poll, ready_in)
        pause, self._retry_pause = self._retry_pause, min(2 * self._retry_pause, _LONGEST_LOOK)
        return pause

    async def _complete_and_claim(
        self, outcomes: list[Outcome], slots: int
    ) -> tuple[list[Run], float | None]:
        claim = self._claim(slots) if slots else None
        try:
            written, claimed, ready_in = await self.connection(
                lambda conn: queries.complete_and_claim(conn, outcomes, claim)
            )
        except psycopg.errors.UniqueViolation:
            # A stock worker wanted the same lock at the same moment, or a retry met a waiting job
            # that holds its queueing lock. One by one the guilty outcome shows, and fails.
            if not outcomes:
                return [], 0
            if slots == 0 and len(outcomes) == 1:
                return await self._complete_and_claim([_refused(outcomes[0])], 0)
            for outcome in outcomes:
                await self._complete_and_claim([outcome], 0)
            return await self._complete_and_claim([], slots)
        for outcome in outcomes:
            if outcome.job.id in written:
                self.written.append(outcome)
            else:
                logger.warning("Job %s ended here, but it is another worker's now", outcome.job.id)
        return claimed, ready_in

    def _claim(self, slots: int) -> dict[str, Any]:
        passes = self._scheduler.passes
        positions = self._positions.of(passes)
        return {
            "worker_id": self._worker.worker_id,
            "slots": slots,
            "tasks": self.tasks,
            "queues": self.queues,
            "names": list(passes),
            "weights": self._scheduler.weights(),
            "passes": list(passes.values()),
            "priorities": database.array(priority for priority, _ in positions),
            "ids": database.array(job_id for _, job_id in positions),
        }

    async def hand_back_unseen(self, conn: Conn) -> None:
        """The answer to a claim may have been lost with the connection, but not the claim. (Each
        job of ours is in one of three places, and moves between them without an await.)"""
        ended = self.outcomes + self._being_written
        known = self._running() + [outcome.job.id or 0 for outcome in ended]
        unseen = await queries.claimed_but(conn, self._worker.worker_id or 0, known)
        self.outcomes += [Outcome(job, "todo", spent=False) for job in unseen]


def _refused(outcome: Outcome) -> Outcome:
    error = Permanent("a job with the same queueing lock is already waiting")
    return msgspec.structs.replace(outcome, status="failed", retry_at=None, error=error)
