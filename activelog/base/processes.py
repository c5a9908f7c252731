"""Child processes: they die with their parent, and take work that would keep a core busy."""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from activelog.base.errors import JobError

P = ParamSpec("P")
R = TypeVar("R")

_PR_SET_PDEATHSIG = 1
_CALLS_PER_POOL = 2_000  # then its processes are replaced: libraries keep caches


def die_with_parent(parent: int, how: signal.Signals) -> None:
    """For `preexec_fn`: the kernel sends `how` when the parent dies, however it dies (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(how))
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


class Offload:
    """`await offload(function, …)`: a function of a module, with arguments that can be pickled.

    CPU-bound work goes here, so that neither the event loop nor the jobs beside it wait: a thread
    would hold the interpreter's lock. The processes start when they are first needed.
    """

    def __init__(self, processes: int | None = None) -> None:
        self._processes = processes or os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None
        self._calls = 0

    async def __call__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Raises JobError when the process died (out of memory): later may be better."""
        if self._calls >= _CALLS_PER_POOL:
            self.close()
        pool = self._pool = self._pool or self._start()
        self._calls += 1
        work = pool.submit(function, *args, **kwargs)
        try:
            return await asyncio.wrap_future(work)
        except BrokenProcessPool:
            if self._pool is pool:
                self.close()
            raise JobError("the process that did the work died") from None

    def close(self) -> None:
        """What it has taken on is finished; the next call starts new processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool, self._calls = None, 0

    def _start(self) -> ProcessPoolExecutor:
        # (max_tasks_per_child would replace processes one by one, but can lose all of them while
        # calls wait, and then nothing ends: its known deadlock.)
        return ProcessPoolExecutor(
            self._processes,
            # Forking a process with threads and connections would copy them in any state.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(os.getpid(),),
        )


def _begin(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    die_with_parent(parent, signal.SIGKILL)
