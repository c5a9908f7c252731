"""Child processes: they die with their parent, and take work that would keep a core busy."""

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import resource
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from activelog.base.errors import JobError

R = TypeVar("R")

LONGEST = 60.0  # seconds that a call may take
MEMORY = 2**30  # bytes of address space
_PR_SET_PDEATHSIG = 1
_CALLS = 2_000  # then a process is replaced: libraries keep caches


def die_with_parent(parent: int, how: signal.Signals) -> None:
    """For `preexec_fn`: the kernel sends `how` when the parent dies, however it dies (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(how))
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


class TooCostly(JobError):
    """Work that wants more time or memory than there is for it."""


class Offload:
    """`await offload(function, …, owner=user_id)`: a function of a module, with arguments that can
    be pickled, in a process of its own.

    CPU-bound work goes here, so that neither the event loop nor the jobs beside it wait: a thread
    would hold the interpreter's lock. People take turns, and nobody has all processes. A call that
    takes too long, or that nobody waits for any more, ends with its process; so does one that wants
    more than MEMORY. The processes start when they are first needed.
    """

    def __init__(self, processes: int | None = None) -> None:
        count = processes or os.cpu_count() or 1
        self._free = [_Process() for _ in range(count)]
        self._all = list(self._free)
        self._most_of_one = max(1, count - 1)
        self._at_work: Counter[object] = Counter()
        # Who waits, by owner; the owner that was served last stands last.
        self._waiting: dict[object, deque[asyncio.Future[_Process]]] = {}

    async def __call__(
        self,
        function: Callable[..., R],
        *args: Any,
        owner: object = None,
        seconds: float = LONGEST,
    ) -> R:
        """Raises JobError when the process died (out of memory), or was too slow: later may be
        better; and what `function` raises."""
        process = await self._begin(owner)
        work = asyncio.ensure_future(asyncio.to_thread(process.call, function, args, seconds))
        work.add_done_callback(lambda done: self._end(owner, process, done))
        try:
            value: R = await asyncio.shield(work)
            return value
        except asyncio.CancelledError:
            while not work.done():  # its process may only be starting
                process.kill()
                await asyncio.wait([work], timeout=0.1)
            raise

    def close(self) -> None:
        for process in self._all:
            process.kill()

    async def _begin(self, owner: object) -> "_Process":
        turn: asyncio.Future[_Process] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        self._serve()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._end(owner, turn.result())
            raise

    def _end(
        self, owner: object, process: "_Process", work: "asyncio.Future[Any] | None" = None
    ) -> None:
        """Only when the thread is done with it: nobody else may have the process before."""
        if work is not None and not work.cancelled():
            work.exception()  # perhaps nobody asks for it
        self._free.append(process)
        self._at_work[owner] -= 1
        self._at_work += Counter()  # without zeros
        self._serve()

    def _serve(self) -> None:
        """Gives free processes to those who wait, one owner after another."""
        for owner in list(self._waiting):
            turns = self._waiting[owner]
            while turns and turns[0].done():  # cancelled
                turns.popleft()
            if turns and self._free and self._at_work[owner] < self._most_of_one:
                self._at_work[owner] += 1
                turns.popleft().set_result(self._free.pop())
                self._waiting[owner] = self._waiting.pop(owner)
                if turns:
                    return self._serve()
            if not turns:
                self._waiting.pop(owner, None)
        return None


class _Process:
    """One child; it starts with the first call, and again after it was killed."""

    def __init__(self) -> None:
        self._child: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._calls = 0

    def call(self, function: Callable[..., R], args: tuple[Any, ...], seconds: float) -> R:
        """In a thread: it waits."""
        if self._calls >= _CALLS:
            self._drop()
        pipe = self._pipe or self._start()
        self._calls += 1
        try:
            pipe.send((function, args))
            if not pipe.poll(seconds):
                raise TooCostly(f"it takes longer than {seconds:.0f} seconds")
            is_good, value = pipe.recv()
        except (EOFError, OSError):
            self._drop()
            raise JobError("the process that did the work died") from None
        except JobError:
            self._drop()
            raise
        if not is_good:
            raise value
        found: R = value
        return found

    def kill(self) -> None:
        """A call that is under way fails then."""
        if self._child is not None:
            self._child.kill()

    def _drop(self) -> None:
        self.kill()
        if self._pipe is not None:
            self._pipe.close()
        self._child, self._pipe, self._calls = None, None, 0

    def _start(self) -> Connection:
        # Forking a process with threads and connections would copy them in any state.
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        child = spawn.Process(target=_serve_calls, args=(theirs, os.getpid()), daemon=True)
        child.start()
        self._child = child  # only now it can be killed
        theirs.close()
        return self._pipe


def _serve_calls(pipe: Connection, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    die_with_parent(parent, signal.SIGKILL)
    _limit_memory()
    while True:
        try:
            function, args = pipe.recv()
        except EOFError:
            return
        pipe.send(_outcome(function, args))


def _outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, function(*args)
    except MemoryError:
        return False, TooCostly("it needs more memory than it may have")
    except Exception as error:
        return False, error


def _limit_memory() -> None:
    with contextlib.suppress(ValueError, OSError):  # a lower limit is set already
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
