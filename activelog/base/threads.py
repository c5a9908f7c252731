"""Threads with a time limit, and whether one still works: nothing can stop a thread."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from activelog.base.errors import JobError


class TimedOut(JobError):
    """The job took longer than its task allows."""


class ThreadHangs(TimedOut):
    """A job in a thread took longer. Nothing can stop a thread: it runs on."""

    def __init__(self, message: str, thread: threading.Thread) -> None:
        super().__init__(message)
        self.thread = thread


async def run_in_thread(call: Callable[[], Any], timeout: float) -> Any:  # noqa: ASYNC109
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
