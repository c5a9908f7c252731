"""The worker: its states, what it does beside running jobs, and its loop: one turn of the Fetcher
after the other, and jobs that run meanwhile."""

import asyncio
import gc
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from procrastinate import worker as stock
from procrastinate.manager import get_channel_for_queues

from activelog.base import traces
from activelog.base.threads import ThreadHangs, TrackedThreadPool
from activelog.database import ReconnectingConnection
from activelog.queue import queries
from activelog.queue.fetcher import Fetcher
from activelog.queue.heartbeat import INTERVAL, Heartbeat
from activelog.queue.job_counters import add_up
from activelog.queue.maintenance import every, find_aborts, report_unknown
from activelog.queue.outcome import Outcome
from activelog.queue.rescuer import rescue
from activelog.queue.running_jobs import RunningJobs
from activelog.queue.wake_ups import read_notification, seconds_to_wait

if TYPE_CHECKING:
    from activelog.queue.app import App

DEFAULT_GRACE = 25.0  # seconds for running jobs after SIGTERM, unless the command line says
HUNG_THREADS = 5  # slots that are replaced; one more and the worker recycles itself
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LINGER = 0.003  # seconds

_REFUSED_OPTIONS = {
    "task_middleware": "wrap the task's function instead",
    "worker_middleware": "wrap the task's function instead",
    "delete_jobs": "finished jobs go by their age, set ACTIVELOG_KEEP_SUCCEEDED_DAYS",
    "update_heartbeat_interval": f"workers beat every {INTERVAL:g} s",
    "stalled_worker_timeout": "workers are dead after 6 s without a heartbeat",
}

logger = logging.getLogger(__name__)


class State(IntEnum):
    """Of a worker, in their order; README.md has a picture."""

    REGISTERING = 1  # at its start, and again when others took it for dead
    WORKING = 2
    DRAINING = 3  # it claims nothing more and waits for its jobs
    HANDING_BACK = 4


class Worker(stock.Worker):
    """What `procrastinate worker` runs, with the options of its command line."""

    app: "App"

    def __init__(self, app: "App", **options: Any) -> None:
        for option, instead in _REFUSED_OPTIONS.items():
            if options.get(option):
                raise ValueError(f"{option} is not heeded: {instead}")
        super().__init__(app, **options)
        grace = self.shutdown_graceful_timeout
        self._grace = DEFAULT_GRACE if grace is None else grace
        self._state = State.REGISTERING
        self._failure: Exception | None = None
        self.side_connection = ReconnectingConnection(app.direct_url, app.limits.outage)
        self._wake = asyncio.Event()
        self._running = RunningJobs(self, app.timeouts, self._on_outcome)
        self._fetcher = Fetcher(
            self, app.direct_url, app.limits.outage, app.shares, self._running.ids
        )
        self._connection = self._fetcher.connection
        self._numbers = count(1)  # of what it counts
        self._hung: list[threading.Thread] = []
        self._guards: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until stopped, or with wait=False until nothing is left to start. Raises what keeps it
        from going on (Postgres is gone, threads hang): the command line exits with 1."""
        gc.freeze()  # or it walks all that is loaded again and again: a tenth of our CPU
        self._loop = asyncio.get_running_loop()
        self._size_threads_and_pool()
        await self._register()
        sides = [self._guarded(side) for side in self._sides()]
        living = asyncio.ensure_future(self._live())
        try:
            with self._signals():
                await asyncio.shield(living)
        except asyncio.CancelledError:
            self._drain_from_now()
            await living
            raise
        finally:
            await self._leave(sides)
        if (self._running.has_given_up or self._threads.is_busy) and self.install_signal_handlers:
            # asyncio would wait for a thread, or for a job that heeds no cancellation. What they
            # do does not count any more; they end with us.
            logging.shutdown()
            os._exit(0 if self._failure is None else 1)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        self._call_in_loop(self._drain_from_now)

    def _call_in_loop(self, function: Callable[..., object], *args: Any) -> None:
        """From any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)

    # States

    def _become(self, state: State) -> None:
        """There is no way back: a stop while it stops is left out."""
        if state > self._state:
            self._state = state
            self._wake.set()

    def _drain_from_now(self) -> None:
        self._become(State.DRAINING)
        # Also what waits for Postgres now waits no longer than jobs may run.
        self._connection.stop_trying_in(max(self._grace, 1.0))

    def _on_signal(self) -> None:
        """SIGTERM or SIGINT drains the worker; a second one hands unfinished jobs back at once."""
        if self._state is State.DRAINING:
            self._become(State.HANDING_BACK)
        self._drain_from_now()

    def _give_up(self, error: Exception) -> None:
        logger.error("The worker cannot go on: %s", error)
        self._failure = self._failure or error
        self._become(State.HANDING_BACK)
        self._connection.stop_trying_in(1.0)

    async def _start_over(self, lost: int) -> None:
        """Others took this worker for dead, under that id, and run its jobs."""
        logger.error("Worker %d was taken for dead: it drops its jobs", lost)
        self._running.abort_all()
        if self._state is State.WORKING:
            self._state = State.REGISTERING
            await self._register()

    # Coming and going

    def _size_threads_and_pool(self) -> None:
        """A thread and two connections for every slot: a job that reports its progress uses a
        second connection, and `to_thread` has six threads on a machine with two cores."""
        self._threads = TrackedThreadPool(self.concurrency + 4)
        asyncio.get_running_loop().set_default_executor(self._threads)
        most = self.app.db_connections or 2 * self.concurrency + 4
        self._guarded(self.app.connector.pool.resize(1, most))

    async def _register(self) -> None:
        worker_id = await self._connection(
            lambda conn: queries.register_worker(
                conn, self.concurrency, self._fetcher.queues, self._fetcher.tasks
            )
        )
        self.worker_id = worker_id
        self._heartbeat = Heartbeat(
            self.app.direct_url,
            worker_id,
            self.app.limits,
            on_lost=lambda: self._call_in_loop(lambda: self._guarded(self._start_over(worker_id))),
            channels=list(get_channel_for_queues(self.queues)) if self.listen_notify else (),
            on_notify=self._on_notify,
        )
        self._heartbeat.start()
        self._become(State.WORKING)
        self._claim_in()
        logger.info("Worker %d started: %d slots", worker_id, self.concurrency)

    async def _leave(self, sides: "list[asyncio.Task[None]]") -> None:
        self._heartbeat.stop()
        for side in sides:
            side.cancel()
        await asyncio.gather(*sides, return_exceptions=True)
        if not self._connection.is_broken:
            await self._write_counts(self._connection)
            await self._connection(
                lambda conn: queries.unregister_worker(conn, self.worker_id or 0)
            )
        await self._connection.close()
        await self.side_connection.close()
        await asyncio.to_thread(traces.flush)
        logger.info("Worker %s stopped", self.worker_id)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        is_main = threading.current_thread() is threading.main_thread()
        numbers = _SIGNALS if self.install_signal_handlers and is_main else ()
        for number in numbers:
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _sides(self) -> list[Coroutine[Any, Any, None]]:
        """What it does beside running jobs."""
        connection, limits, fetcher = self.side_connection, self.app.limits, self._fetcher
        return [
            every(0.5, self._tick),
            every(1.0, lambda: rescue(connection, limits, self._heartbeat, self._claim_in)),
            every(self.abort_job_polling_interval, partial(find_aborts, connection, self._running)),
            # A claim whose connection broke may be committed after its successor looked for it.
            every(limits.reconcile, self._hand_back_unseen),
            every(60.0, partial(report_unknown, connection, fetcher.queues, fetcher.tasks)),
            every(1.0, lambda: self._write_counts(connection)),
            *(side(self) for side in self.app.sides),
        ]

    def _guarded(self, side: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """A side that fails ends the worker: better none than one that looks alive."""

        async def guarded() -> None:
            try:
                await side
            except Exception as error:
                self._give_up(error)

        guard = asyncio.create_task(guarded())
        self._guards.add(guard)  # the event loop would forget it
        guard.add_done_callback(self._guards.discard)
        return guard

    @property
    def is_leader(self) -> bool:
        return self._heartbeat.is_leader

    async def _write_counts(self, connection: ReconnectingConnection) -> None:
        counted, self._fetcher.written = self._fetcher.written, []
        if counted and self.worker_id is not None:
            worker_id, number, counts = self.worker_id, next(self._numbers), add_up(counted)
            await connection(lambda conn: queries.count(conn, worker_id, number, counts))

    async def _tick(self) -> None:
        self._heartbeat.tick()

    async def _hand_back_unseen(self) -> None:
        await self._connection(self._fetcher.hand_back_unseen)
        self._wake.set()

    # The loop

    async def _live(self) -> None:
        for part in (self._work, self._drain, self._hand_back):  # the last one whatever happens
            try:
                await part()
            except Exception as error:
                logger.exception("The worker's loop failed")
                self._give_up(error)

    async def _work(self) -> None:
        while self._state < State.DRAINING:
            self._wake.clear()
            # While most slots work, outcomes wait for each other: a turn costs about the same for
            # one of them as for five.
            if self._fetcher.outcomes and 2 * self._free_slots() < self.concurrency:
                await asyncio.sleep(_LINGER)
            await self._turn()
            if not self.wait and self._is_done():
                return
            await self._sleep(self._fetcher.claim_at if self._free_slots() else math.inf)

    def _is_done(self) -> bool:
        """Whether nothing runs, is to be written or may be there to start."""
        fetcher = self._fetcher
        return not (self._running or fetcher.outcomes or fetcher.is_time_to_claim())

    def _free_slots(self) -> int:
        if self._state is not State.WORKING:
            return 0
        return max(0, self.concurrency - len(self._running))

    def _on_notify(self, payload: str | None) -> None:
        """Called from the heartbeat's thread, with None when something may have been missed."""
        found = read_notification(payload) if payload else None
        if isinstance(found, int):
            self._call_in_loop(self._running.abort, found)
            return
        peers = self._heartbeat.peers
        seconds = seconds_to_wait(self.worker_id or 0, peers, found) if found else 0.0
        if time.monotonic() + seconds < self._fetcher.claim_at:
            self._call_in_loop(self._claim_in, seconds)

    def _claim_in(self, seconds: float = 0.0) -> None:
        """There may be a job to start."""
        claim_at = time.monotonic() + seconds
        if claim_at < self._fetcher.claim_at:
            self._fetcher.claim_at = claim_at
            self._wake.set()

    async def _turn(self) -> None:
        for run in await self._fetcher.turn(self._free_slots()):
            self._running.start(run)

    async def _sleep(self, until: float) -> None:
        """Until then by the monotonic clock, or until something wakes it."""
        if self._wake.is_set() or self._fetcher.outcomes:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(until - time.monotonic()):
                await self._wake.wait()

    def _on_outcome(self, outcome: Outcome) -> None:
        self._fetcher.outcomes.append(outcome)
        self._wake.set()
        if isinstance(outcome.error, ThreadHangs):
            self._note_hung_thread(outcome.error.thread)

    def _note_hung_thread(self, thread: threading.Thread) -> None:
        self._hung = [one for one in (*self._hung, thread) if one.is_alive()]
        count = len(self._hung)
        logger.error("%d threads hang in this worker; their slots were replaced", count)
        if count > HUNG_THREADS:
            self._failure = RuntimeError(f"{count} threads hang: this worker ends to be replaced")
            self._drain_from_now()

    # The end

    async def _drain(self) -> None:
        """Lets running jobs finish for the grace time."""
        deadline = time.monotonic() + self._grace
        self._become(State.DRAINING)
        while self._running and self._state is State.DRAINING and time.monotonic() < deadline:
            self._wake.clear()
            await self._turn()
            if self._running:
                await self._sleep(deadline)

    async def _hand_back(self) -> None:
        """Hands those that still run back unspent, and writes what is left to write."""
        self._become(State.HANDING_BACK)
        if self._running:
            logger.warning("%d jobs are handed back unfinished", len(self._running))
            self._fetcher.outcomes += await self._running.hand_back()
        if not self._connection.is_broken:
            await self._turn()
            await self._hand_back_unseen()  # or it would count as a death
            await self._turn()  # those, and what the first one may have left to write


Side = Callable[[Worker], Coroutine[Any, Any, None]]
