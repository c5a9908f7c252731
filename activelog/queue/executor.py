"""One run of one job: call the task, watch the clock, say the outcome."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any

from procrastinate import exceptions
from procrastinate.job_context import AbortReason, JobContext
from procrastinate.jobs import Job

from activelog.base import logs, traces
from activelog.base.errors import Permanent, Postponed
from activelog.base.threads import TimedOut, run_in_thread
from activelog.queue.blueprint import AnyTask
from activelog.queue.outcome import Outcome, message_of, name_of

# Arguments that any job may have, for the log and for traces: its task does not see them.
_ORIGIN = ("request_id", "traceparent")

logger = logging.getLogger(__name__)


async def execute(
    context: JobContext,
    task: AnyTask,
    timeout: float,  # noqa: ASYNC109 - a thread needs more than a cancelled scope
) -> Outcome:
    """Runs `context.job` and says how it ended, whatever it raised."""
    job = context.job
    try:
        request_id = job.task_kwargs.get("request_id")
        logs.bind(request_id=str(request_id) if request_id else None, job_id=job.id)
        parent = job.task_kwargs.get("traceparent")
        about = {"messaging.message.id": str(job.id), "messaging.destination.name": job.queue}
        with traces.span(task.name, "CONSUMER", str(parent) if parent else None, about):
            await _call(context, task, timeout)
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


async def _call(context: JobContext, task: AnyTask, timeout: float) -> None:  # noqa: ASYNC109
    given = context.job.task_kwargs
    arguments = {name: value for name, value in given.items() if name not in _ORIGIN}
    misfit = _misfit(task.func, task.pass_context, tuple(arguments))
    if misfit is not None:
        raise Permanent(f"the arguments do not fit {task.name}: {misfit}")
    call = partial(task.func, *[context] * task.pass_context, **arguments)
    if not _is_async(task.func):
        await run_in_thread(call, timeout)
        return
    try:
        async with asyncio.timeout(timeout) as limit:
            await call()
    except TimeoutError:
        if limit.expired():
            raise TimedOut(f"it took longer than {timeout:g} s") from None
        raise


def _failed(context: JobContext, task: AnyTask, error: BaseException) -> Outcome:
    job, retry_at = context.job, _retry_at(task, context.job, error)
    if retry_at is None:
        shown = None if isinstance(error, Permanent) else error
        logger.error("Job %s failed: %s", name_of(job), message_of(error), exc_info=shown)
        return Outcome(job, "failed", error=error)
    cause = error.__cause__ or error
    logger.warning(
        "Job %s will be retried: %s: %s", name_of(job), type(cause).__name__, message_of(cause)
    )
    return Outcome(job, "todo", retry_at=retry_at, error=error)


def _retry_at(task: AnyTask, job: Job, error: BaseException) -> datetime | None:
    try:
        retry = task.get_retry_exception(exception=error, job=job)
    except Exception:
        logger.exception("The retry strategy of %s failed: no retry", task.name)
        return None
    return retry.retry_decision.retry_at if retry else None
