"""One run of one job: call the task, watch the clock, say the outcome."""

import asyncio
import contextvars
import inspect
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from procrastinate import exceptions, middleware
from procrastinate.job_context import AbortReason, JobContext
from procrastinate.jobs import Job
from procrastinate.worker import Worker

from activelog.base import logs
from activelog.base.errors import JobError, Permanent, Postponed
from activelog.queue.blueprint import AnyTask
from activelog.queue.outcome import Outcome, message_of

logger = logging.getLogger(__name__)


class TimedOut(JobError):
    """The job took longer than its task allows."""


class ThreadHangs(TimedOut):
    """So did a job in a thread, which nothing can stop: the thread runs on."""

    def __init__(self, message: str, thread: threading.Thread) -> None:
        super().__init__(message)
        self.thread = thread


async def execute(
    context: JobContext,
    worker: Worker,
    task: AnyTask,
    timeout: float,  # noqa: ASYNC109 - a thread needs more than a cancelled scope
) -> Outcome:
    """Runs `context.job` and says how it ended, whatever it raised."""
    job = context.job
    try:
        request_id = job.task_kwargs.get("request_id")
        logs.bind(request_id=str(request_id) if request_id else None, job_id=job.id)
        _check_arguments(task, context)
        call = middleware.compose(
            worker.worker_middleware, lambda: _call(context, worker, task, timeout), context, worker
        )
        await call()
    except BaseException as error:  # also SystemExit: a job does not end its worker
        return _outcome_of(context, task, error)
    return Outcome(job, "succeeded")


def _outcome_of(context: JobContext, task: AnyTask, error: BaseException) -> Outcome:
    job, reason = context.job, context.abort_reason()
    if reason is AbortReason.SHUTDOWN:
        return Outcome(job, "todo", spent=False)
    if reason is AbortReason.USER_REQUEST or isinstance(error, exceptions.JobAborted):
        return Outcome(job, "aborted")
    if isinstance(error, Postponed):
        later = datetime.now(UTC) + timedelta(seconds=error.seconds)
        return Outcome(job, "todo", retry_at=later, spent=False)
    return _failed(context, task, error)


def _check_arguments(task: AnyTask, context: JobContext) -> None:
    misfit = _misfit(task.func, task.pass_context, tuple(context.job.task_kwargs))
    if misfit is not None:
        raise Permanent(f"the arguments do not fit {task.name}: {misfit}")


@lru_cache(1000)
def _misfit(
    function: Callable[..., Any], takes_context: bool, names: tuple[str, ...]
) -> str | None:
    """Why a function cannot be called with arguments of these names; None: it can."""
    try:
        inspect.signature(function).bind(*[None] * takes_context, **dict.fromkeys(names))
    except TypeError as error:
        return str(error)
    return None


_is_async = lru_cache(1000)(inspect.iscoroutinefunction)


async def _call(context: JobContext, worker: Worker, task: AnyTask, timeout: float) -> Any:  # noqa: ASYNC109
    is_async = _is_async(task.func)
    arguments = [context] if task.pass_context else []
    call = middleware.compose(
        worker._resolve_task_middlewares(task, is_async),
        lambda: task.func(*arguments, **context.job.task_kwargs),
        context,
        worker,
    )
    if not is_async:
        return await _in_thread(call, timeout)
    try:
        async with asyncio.timeout(timeout) as limit:
            return await call()
    except TimeoutError:
        if limit.expired():
            raise TimedOut(f"it took longer than {timeout:g} s") from None
        raise


async def _in_thread(call: Callable[[], Any], timeout: float) -> Any:  # noqa: ASYNC109
    """A thread per job instead of a pool: a pool of stuck threads would starve the worker, and
    one that is no daemon would keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    copied = contextvars.copy_context()

    def work() -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = copied.run(call)
        except StopIteration as caught:  # which no future takes
            error = RuntimeError(f"the task raised {caught!r}")
        except BaseException as caught:
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, done, result, error)

    thread = threading.Thread(target=work, name="job", daemon=True)
    thread.start()
    try:
        return await asyncio.wait_for(done, timeout)
    except TimeoutError:
        if done.cancelled():
            message = f"it took longer than {timeout:g} s and cannot be stopped"
            raise ThreadHangs(message, thread) from None
        raise


def _settle(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


def _failed(context: JobContext, task: AnyTask, error: BaseException) -> Outcome:
    job, retry_at = context.job, _retry_at(task, context.job, error)
    if retry_at is None:
        shown = None if isinstance(error, Permanent) else error
        logger.error("Job %s failed: %s", job.call_string, message_of(error), exc_info=shown)
        return Outcome(job, "failed", error=error)
    cause = error.__cause__ or error
    name = type(cause).__name__
    logger.warning("Job %s will be retried: %s: %s", job.call_string, name, message_of(cause))
    return Outcome(job, "todo", retry_at=retry_at, error=error)


def _retry_at(task: AnyTask, job: Job, error: BaseException) -> datetime | None:
    try:
        retry = task.get_retry_exception(exception=error, job=job)
    except Exception:
        logger.exception("The retry strategy of %s failed: no retry", task.name)
        return None
    return retry.retry_decision.retry_at if retry else None


class TrackedThreadPool(ThreadPoolExecutor):
    """What `asyncio.to_thread` uses, and whether some of its threads work: asyncio waits for them
    at the end, also for one that hangs."""

    def __init__(self, size: int) -> None:
        super().__init__(size, thread_name_prefix="job")
        self._unfinished: set[Future[Any]] = set()

    @property
    def is_busy(self) -> bool:
        return bool(self._unfinished)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future
