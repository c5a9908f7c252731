"""One run of one job: call the task, watch the clock, say how it ended."""

import asyncio
import contextvars
import inspect
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from procrastinate import exceptions, middleware
from procrastinate.job_context import AbortReason, JobContext
from procrastinate.tasks import Task
from procrastinate.worker import Worker

from activelog import logs
from activelog.errors import JobError, Permanent, Postponed
from activelog.queue.end import End

AnyTask = Task[Any, Any, Any]

logger = logging.getLogger(__name__)


class TimedOut(JobError):
    """The job took longer than its task allows."""


class ThreadHangs(TimedOut):
    """So did a job in a thread, which nothing can stop: the thread runs on."""


async def run(
    context: JobContext,
    worker: Worker,
    task: AnyTask,
    timeout: float,  # noqa: ASYNC109 - a thread needs more than a cancelled scope
) -> End:
    """Runs `context.job`. Raises CancelledError only when neither a person nor a shutdown asked."""
    job = context.job
    request_id = job.task_kwargs.get("request_id")
    logs.bind(request_id=str(request_id) if request_id else None, job_id=job.id)
    try:
        _check_arguments(task, context)
        call = middleware.compose(
            worker.worker_middleware, lambda: _call(context, worker, task, timeout), context, worker
        )
        await call()
    except asyncio.CancelledError:
        return _cancelled(context)
    except exceptions.JobAborted:
        return End(job, "aborted")
    except Postponed as postponed:
        later = datetime.now(UTC) + timedelta(seconds=postponed.seconds)
        return End(job, "todo", retry_at=later, spent=False)
    except Exception as error:
        return _failed(context, task, error)
    return End(job, "succeeded")


def _check_arguments(task: AnyTask, context: JobContext) -> None:
    arguments = [context] if task.pass_context else []
    try:
        _signature(task.func).bind(*arguments, **context.job.task_kwargs)
    except TypeError as error:
        raise Permanent(f"the arguments do not fit {task.name}: {error}") from None


@cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


async def _call(context: JobContext, worker: Worker, task: AnyTask, timeout: float) -> Any:  # noqa: ASYNC109
    is_async = inspect.iscoroutinefunction(task.func)
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
        try:
            result, error = copied.run(call), None
        except BaseException as caught:
            result, error = None, caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, done, result, error)

    threading.Thread(target=work, name="job", daemon=True).start()
    try:
        return await asyncio.wait_for(done, timeout)
    except TimeoutError:
        if done.cancelled():
            raise ThreadHangs(f"it took longer than {timeout:g} s and cannot be stopped") from None
        raise


def _settle(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


def _cancelled(context: JobContext) -> End:
    if context.abort_reason() is AbortReason.USER_REQUEST:
        return End(context.job, "aborted")
    return End(context.job, "todo", spent=False)


def _failed(context: JobContext, task: AnyTask, error: Exception) -> End:
    retry = task.get_retry_exception(exception=error, job=context.job)
    if retry is None:
        shown = None if isinstance(error, Permanent) else error
        logger.error("Job %s failed: %s", context.job.call_string, error, exc_info=shown)
        return End(context.job, "failed", error=error)
    cause = error.__cause__ or error
    logger.warning(
        "Job %s will be retried: %s: %s", context.job.call_string, type(cause).__name__, cause
    )
    return End(context.job, "todo", retry_at=retry.retry_decision.retry_at, error=error)
