"""The worker's loop: one turn writes what ended and claims what fits, in one round trip.

While a turn is under way, jobs go on ending; the next turn takes all of their outcomes at once, and
while most slots are at work it waits three milliseconds for more. So outcomes are written in groups
under load and at once otherwise, and a crash in between is an ordinary rescue.
"""

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from procrastinate import worker as stock

from activelog.db import Conn, Pool
from activelog.queue import duties, schedule, store
from activelog.queue.counts import WRITE_SECONDS
from activelog.queue.end import End
from activelog.queue.exchange import Exchange
from activelog.queue.heart import INTERVAL, SILENCE, Heart
from activelog.queue.lifeline import Lifeline
from activelog.queue.pace import Pace
from activelog.queue.run import ThreadHangs
from activelog.queue.runs import Runs
from activelog.queue.threads import Threads

DEFAULT_GRACE = 25.0  # seconds for running jobs after SIGTERM, unless the command line says
GATHER_SECONDS = 0.003
RECONCILE_SECONDS = 60.0
HUNG_THREADS = 5  # slots that are replaced; one more and the worker recycles itself

_UNHEEDED = {
    "delete_jobs": "finished jobs go by their age, set ACTIVELOG_KEEP_SUCCEEDED_DAYS",
    "update_heartbeat_interval": f"workers beat every {INTERVAL:g} s",
    "stalled_worker_timeout": f"workers are dead after {SILENCE:g} s without a beat",
}

logger = logging.getLogger(__name__)


class Recycle(Exception):
    """Too many threads hang: the worker exits non-zero and its supervisor starts a new one."""


class Worker(stock.Worker):
    """What `procrastinate worker` runs. `timeouts`: seconds by task; `shares`: weight by queue."""

    def __init__(
        self,
        *,
        url: str,
        pool: Pool,
        timeouts: Mapping[str, float],
        shares: Mapping[str, float] | None,
        **options: Any,
    ) -> None:
        for option, instead in _UNHEEDED.items():
            if options.get(option):
                raise ValueError(f"{option} is not heeded: {instead}")
        super().__init__(**options)
        self._url = url
        self._pool = pool
        self._runs = Runs(self, timeouts, self._on_end)
        self._tasks = list(self.app.tasks)
        self._line = Lifeline(url, on_reconnect=self._release_unseen)
        self._exchange = Exchange(
            self._line,
            tasks=self._tasks,
            queues=self._named_queues(),
            weights=shares,
            on_more=self._new_job_event.set,
        )
        self._side_line = Lifeline(url)
        self._rescue_line = Lifeline(url)
        self._guards: set[asyncio.Task[None]] = set()
        self._ends: list[End] = []  # of runs, to be written
        self._writing: list[End] = []  # on their way to the database
        self._hurry = False
        self._pace = Pace()
        self._hung: list[threading.Thread] = []
        self._handed_back = False
        self._fatal: Exception | None = None

    async def run(self) -> None:
        """Until stopped, or with wait=False until nothing is left to start.

        Raises DatabaseGone or Recycle when it cannot go on: the command line then exits with 1.
        """
        gc.freeze()  # or it walks all that is loaded again and again: a tenth of our CPU
        self._stop_event.clear()
        self._loop = asyncio.get_running_loop()
        self.run_task = asyncio.current_task()
        self._make_room()
        await self._register()
        sides = [self._guarded(duty) for duty in self._duties()]
        living = asyncio.ensure_future(self._live())
        try:
            with self._signals():
                await asyncio.shield(living)
        except asyncio.CancelledError:
            self.stop()
            await living
            raise
        finally:
            await self._leave(sides)
        if (self._handed_back or self._threads.are_busy) and self.install_signal_handlers:
            # asyncio would wait for a thread, or for a job that heeds no cancellation. What they
            # do does not count any more; they end with us.
            logging.shutdown()
            os._exit(0 if self._fatal is None else 1)
        if self._fatal is not None:
            raise self._fatal

    def stop(self) -> None:
        super().stop()  # type: ignore[no-untyped-call]
        # Also what waits for Postgres now waits no longer than jobs may run.
        self._line.stop_trying_in(max(self._grace, 1.0))
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._new_job_event.set)

    # Coming and going

    def _make_room(self) -> None:
        """A thread and two connections for every slot: a job that reports its progress uses a
        second connection, and `to_thread` has six threads on a machine with two cores."""
        self._threads = Threads(self.concurrency + 4)
        asyncio.get_running_loop().set_default_executor(self._threads)
        self._guarded(self._pool.resize(1, 2 * self.concurrency + 4))

    async def _register(self) -> None:
        worker_id = await self._line(
            lambda conn: store.register_worker(
                conn, self.concurrency, self._named_queues(), self._tasks
            )
        )
        self.worker_id = worker_id
        self._heart = Heart(self._url, worker_id, on_lost=lambda: self._on_lost(worker_id))
        self._heart.start()
        logger.info("Worker %d started: %d slots", worker_id, self.concurrency)

    async def _leave(self, sides: "list[asyncio.Task[None]]") -> None:
        self._loop = None
        self._heart.stop()
        for side in sides:
            side.cancel()
        await asyncio.gather(*sides, return_exceptions=True)
        worker_id, self.worker_id = self.worker_id, None
        if worker_id is not None and not self._line.is_broken:
            await self._line(lambda conn: store.unregister_worker(conn, worker_id))
        await self._line.close()
        await self._side_line.close()
        await self._rescue_line.close()
        logger.info("Worker %s stopped", worker_id)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM or SIGINT stops the worker; a second one hands unfinished jobs back at once."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT) if self.install_signal_handlers else ()
        if threading.current_thread() is not threading.main_thread():
            numbers = ()
        for number in numbers:
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        self._hurry = self._stop_event.is_set()
        self.stop()

    def _on_lost(self, worker_id: int) -> None:
        """Called from the heart's thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._lost, worker_id)

    def _lost(self, worker_id: int) -> None:
        """Others took this worker for dead, under that id, and run its jobs."""
        self._guarded(self._start_over(worker_id))

    async def _start_over(self, lost: int) -> None:
        if self.worker_id != lost:  # it has, or is about to
            return
        self.worker_id = None
        logger.error("Worker %d was taken for dead: it drops its jobs", lost)
        self._heart.stop()
        self._runs.abort_all()
        await self._register()

    def _duties(self) -> list[Coroutine[Any, Any, None]]:
        wake = self._new_job_event.set
        line, interval = self._side_line, self.abort_job_polling_interval
        found = [
            self._tick(),
            duties.rescue(
                self._rescue_line, lambda: self._heart, lambda: self.worker_id, wake, self._lost
            ),
            duties.watch_aborts(line, interval, self._runs.ids, self._runs.abort),
            self._reconcile(),
            duties.report_unknown(line, self._named_queues(), self._tasks),
            duties.note_depths(line),
            duties.note_words(line),
            schedule.keep(self.app, line),
        ]
        if self.listen_notify:
            found.append(duties.watch_notifications(self._url, self.queues, wake, self._runs.abort))
        return found

    def _guarded(self, duty: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """A duty that fails ends the worker: better none than one that looks alive."""

        async def guarded() -> None:
            try:
                await duty
            except Exception as error:
                self._give_up(error)

        guard = asyncio.create_task(guarded())
        self._guards.add(guard)  # the event loop would forget it
        guard.add_done_callback(self._guards.discard)
        return guard

    async def _reconcile(self) -> None:
        """A claim whose connection broke may be committed after its successor looked for it."""
        while True:
            await asyncio.sleep(RECONCILE_SECONDS)
            await self._line(self._release_unseen)

    async def _tick(self) -> None:
        while True:
            self._heart.tick()
            await asyncio.sleep(0.5)

    def _give_up(self, error: Exception) -> None:
        logger.error("The worker cannot go on: %s", error)
        self._fatal = self._fatal or error
        self._hurry = True
        self.stop()

    # The loop

    async def _live(self) -> None:
        for part in (self._work, self._drain, self._hand_back):  # the last one whatever happens
            try:
                await part()
            except Exception as error:
                logger.exception("The worker's loop failed")
                self._give_up(error)

    async def _work(self) -> None:
        while not self._stop_event.is_set():
            await self._gather()
            self._new_job_event.clear()
            await self._turn(self._free_slots())
            await self._tell_whether_busy()
            if not self.wait and await self._is_idle():
                return
            await self._sleep(await self._pause())

    async def _gather(self) -> None:
        """While most slots work, ends wait a moment for each other: a turn costs about the same for
        one of them as for five."""
        if self._ends and 2 * self._free_slots() < self.concurrency:
            await asyncio.sleep(GATHER_SECONDS)

    async def _tell_whether_busy(self) -> None:
        is_busy = self._pace.turned(free_slots=self._free_slots())
        worker_id = self.worker_id
        if is_busy is None or worker_id is None:
            return
        try:
            await self._line(lambda conn: store.mark_busy(conn, worker_id, busy=is_busy))
        except psycopg.errors.ForeignKeyViolation:
            await self._start_over(worker_id)
        if not is_busy:
            self._new_job_event.set()  # what came until now woke nobody

    async def _is_idle(self) -> bool:
        is_at_work = self._runs or self._ends or self._exchange.is_unfinished
        return not (is_at_work or await self._exchange.learn_queues())

    def _free_slots(self) -> int:
        return max(0, self.concurrency - len(self._runs))

    async def _turn(self, slots: int) -> None:
        self._writing, self._ends = self._ends, []
        if not (self._writing or slots or self._exchange.is_unfinished):
            return
        try:
            claimed = await self._exchange.turn(
                self.worker_id, self._writing, slots, is_last=self._stop_event.is_set()
            )
        except Exception:
            self._ends = self._writing + self._ends
            raise
        finally:
            self._writing = []
        if claimed:
            self._pace.claimed_some()
        for one in claimed:
            self._runs.start(one)

    async def _release_unseen(self, conn: Conn) -> None:
        """The answer to a claim may have been lost with the connection, but not the claim."""
        known = self._runs.ids() + [end.job.id or 0 for end in self._ends + self._writing]
        if self.worker_id is None:
            return
        try:
            await store.release_unseen(conn, self.worker_id, known)
        except psycopg.errors.UniqueViolation as error:
            # A job with the same queueing lock came in this very moment: it is seen next time.
            logger.warning("Releasing is tried again: %s", error)

    async def _pause(self) -> float:
        """Seconds until the next turn unless something wakes us."""
        if self._ends or self._new_job_event.is_set() or self._stop_event.is_set():
            return 0
        if self._free_slots() == 0:
            poll = self.fetch_job_polling_interval
            return min(poll, WRITE_SECONDS) if self._exchange.is_unfinished else poll
        if await self._exchange.learn_queues():
            return 0
        ready = await self._exchange.seconds_until_ready()
        return self._pace.pause(ready, self.fetch_job_polling_interval)

    async def _sleep(self, seconds: float) -> None:
        if seconds == 0:
            return
        timer = asyncio.get_running_loop().call_later(seconds, self._new_job_event.set)
        await self._new_job_event.wait()
        timer.cancel()

    def _named_queues(self) -> list[str] | None:
        return None if self.queues is None else list(self.queues)

    # Ends

    def _on_end(self, end: End) -> None:
        self._ends.append(end)
        self._new_job_event.set()
        if isinstance(end.error, ThreadHangs):
            self._replace_slot(end.error.thread)

    def _replace_slot(self, thread: threading.Thread) -> None:
        self._hung = [one for one in (*self._hung, thread) if one.is_alive()]
        count = len(self._hung)
        logger.error("%d threads hang in this worker; their slots were replaced", count)
        if count > HUNG_THREADS:
            self._fatal = Recycle(f"{count} threads hang: this worker ends to be replaced")
            self.stop()

    # The end

    @property
    def _grace(self) -> float:
        grace = self.shutdown_graceful_timeout
        return DEFAULT_GRACE if grace is None else grace

    async def _drain(self) -> None:
        """Lets running jobs finish for the grace time."""
        deadline = time.monotonic() + self._grace
        while self._runs and not self._hurry and time.monotonic() < deadline:
            self._new_job_event.clear()
            await self._turn(0)
            if self._runs and not self._ends:
                await self._sleep(max(0.01, deadline - time.monotonic()))

    async def _hand_back(self) -> None:
        """Hands those that still run back unspent, and writes what is left to write."""
        if self._runs:
            self._handed_back = True
            logger.warning("%d jobs are handed back unfinished", len(self._runs))
            self._ends += await self._runs.hand_back()
        if not self._line.is_broken:
            await self._turn(0)
            await self._turn(0)  # what the first one may have left to write
