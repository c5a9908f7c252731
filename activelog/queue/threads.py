from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Threads(ThreadPoolExecutor):
    """What `asyncio.to_thread` uses, and whether some of its threads work: asyncio waits for them
    at the end, also for one that hangs."""

    def __init__(self, size: int) -> None:
        super().__init__(size, thread_name_prefix="job")
        self._unfinished: set[Future[Any]] = set()

    @property
    def are_busy(self) -> bool:
        return bool(self._unfinished)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        return future
