"""The jobs that run in a worker."""

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Mapping

import msgspec
from procrastinate import worker as stock
from procrastinate.job_context import AbortReason, JobContext
from procrastinate.jobs import Job

from activelog.queue.blueprint import DEFAULT_TIMEOUT
from activelog.queue.executor import execute
from activelog.queue.outcome import Claimed, Outcome, name_of

logger = logging.getLogger(__name__)


class RunningJobs:
    """`timeouts`: seconds by task. `on_outcome` is called with the outcome of each run, but for
    those that were handed back meanwhile."""

    def __init__(
        self,
        worker: stock.Worker,
        timeouts: Mapping[str, float],
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._worker = worker
        self._timeouts = timeouts
        self._on_outcome = on_outcome
        self._running: dict[asyncio.Task[Outcome], JobContext] = {}
        self.has_given_up = False  # on some that go on all the same
        self._abort_reasons: dict[tuple[int | None, int | None], AbortReason] = {}

    def __len__(self) -> int:
        return len(self._running)

    def ids(self) -> list[int]:
        return [context.job.id or 0 for context in self._running.values()]

    def start(self, claimed: Claimed) -> None:
        job = claimed.job
        context = self._context(job)
        timeout = self._timeouts.get(job.task_name, DEFAULT_TIMEOUT)
        task = self._worker.app.tasks[job.task_name]
        running = asyncio.create_task(execute(context, task, timeout))
        self._running[running] = context
        running.add_done_callback(lambda running: self._ended(running, claimed.waited))

    def abort(self, job_id: int) -> None:
        """Because somebody asked for it."""
        for running, context in self._running.items():
            job = context.job
            if job.id == job_id and _run_of(job) not in self._abort_reasons:
                self._abort(running, context, AbortReason.USER_REQUEST)

    def abort_all(self) -> None:
        """Because the worker ends, or was taken for dead."""
        for running, context in self._running.items():
            self._abort(running, context, AbortReason.SHUTDOWN)

    async def hand_back(self) -> list[Outcome]:
        """Stops all, waits a second for those that heed it, and gives up the others."""
        self.abort_all()
        await asyncio.wait(list(self._running), timeout=1)
        left = [Outcome(context.job, "todo", spent=False) for context in self._running.values()]
        self.has_given_up = bool(left)
        self._running.clear()
        return left

    def _context(self, job: Job) -> JobContext:
        worker = self._worker
        return JobContext(
            app=worker.app,
            worker_name=worker.worker_name,
            worker_queues=worker.queues,
            additional_context=worker.additional_context or {},
            job=job,
            abort_reason=lambda: self._abort_reasons.get(_run_of(job)),
            start_timestamp=time.time(),
        )

    def _abort(
        self, running: "asyncio.Task[Outcome]", context: JobContext, reason: AbortReason
    ) -> None:
        self._abort_reasons[_run_of(context.job)] = reason
        if inspect.iscoroutinefunction(self._worker.app.tasks[context.job.task_name].func):
            running.cancel()

    def _ended(self, running: "asyncio.Task[Outcome]", waited: float) -> None:
        context = self._running.pop(running, None)
        if context is None:  # it was handed back while it still ran
            return
        job, seconds = context.job, time.time() - context.start_timestamp
        self._abort_reasons.pop(_run_of(job), None)
        outcome = Outcome(job, "todo", spent=False) if running.cancelled() else running.result()
        self._on_outcome(msgspec.structs.replace(outcome, seconds=seconds, waited=waited))
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "Job %s: %s after %.3f s", name_of(job), outcome.status, seconds,
                extra={"request_id": job.task_kwargs.get("request_id"), "job_id": job.id,
                       "task": job.task_name, "status": outcome.status},
            )  # fmt: skip


def _run_of(job: Job) -> tuple[int | None, int | None]:
    """What tells it from another run of the same job in this process, whose first one goes on in a
    thread: others took the worker for dead, and it has a new id."""
    return job.id, job.worker_id
