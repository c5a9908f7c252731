"""The jobs that run in a worker."""

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Mapping

import msgspec
from procrastinate import worker as stock
from procrastinate.job_context import AbortReason, JobContext

from activelog.queue.blueprint import DEFAULT_TIMEOUT
from activelog.queue.executor import execute
from activelog.queue.outcome import Outcome, Run, name_of

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
        self._running: dict[asyncio.Task[Outcome], Run] = {}
        self.has_given_up = False  # on some that go on all the same

    def __len__(self) -> int:
        return len(self._running)

    def ids(self) -> list[int]:
        return [run.job.id or 0 for run in self._running.values()]

    def start(self, run: Run) -> None:
        task = self._worker.app.tasks[run.job.task_name]
        timeout = self._timeouts.get(task.name, DEFAULT_TIMEOUT)
        running = asyncio.create_task(execute(self._context(run), task, timeout))
        self._running[running] = run
        running.add_done_callback(self._ended)

    def abort(self, job_id: int) -> None:
        """Because somebody asked for it."""
        for running, run in self._running.items():
            if run.job.id == job_id and run.abort_reason is None:
                self._abort(running, run, AbortReason.USER_REQUEST)

    def abort_all(self) -> None:
        """Because the worker ends, or was taken for dead."""
        for running, run in self._running.items():
            self._abort(running, run, AbortReason.SHUTDOWN)

    async def hand_back(self) -> list[Outcome]:
        """Stops all, waits a second for those that heed it, and gives up the others."""
        self.abort_all()
        await asyncio.wait(list(self._running), timeout=1)
        left = [Outcome(run.job, "todo", spent=False) for run in self._running.values()]
        self.has_given_up = bool(left)
        self._running.clear()
        return left

    def _context(self, run: Run) -> JobContext:
        worker = self._worker
        return JobContext(
            app=worker.app,
            worker_name=worker.worker_name,
            worker_queues=worker.queues,
            additional_context=worker.additional_context or {},
            job=run.job,
            abort_reason=lambda: run.abort_reason,
            start_timestamp=run.began,
        )

    def _abort(self, running: "asyncio.Task[Outcome]", run: Run, reason: AbortReason) -> None:
        run.abort_reason = reason
        if inspect.iscoroutinefunction(self._worker.app.tasks[run.job.task_name].func):
            running.cancel()

    def _ended(self, running: "asyncio.Task[Outcome]") -> None:
        run = self._running.pop(running, None)
        if run is None:  # it was handed back while it still ran
            return
        job, seconds = run.job, time.time() - run.began
        outcome = Outcome(job, "todo", spent=False) if running.cancelled() else running.result()
        self._on_outcome(msgspec.structs.replace(outcome, seconds=seconds, waited=run.waited))
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "Job %s: %s after %.3f s", name_of(job), outcome.status, seconds,
                extra={"request_id": job.task_kwargs.get("request_id"), "job_id": job.id,
                       "task": job.task_name, "status": outcome.status},
            )  # fmt: skip
