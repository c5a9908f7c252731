"""Tells the other workers that this process is alive, and hears of new jobs between its beats.

A thread with a connection of its own, so neither a busy event loop nor a draining worker falls
silent: stock procrastinate beats from the event loop and stops when it drains, and its jobs are
then run a second time. Only when a job blocks the event loop for a minute it stops: nothing of
what this worker has runs any more, no timeout either, and others had better take it.

It hears on the connection that it beats on: each worker of an idle fleet hears of each job, and a
thread that waits at the socket does so for less than the event loop.
"""

import logging
import select
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

import psycopg
from psycopg import sql

from activelog import database
from activelog.queue.limits import Limits
from activelog.queue.wake_ups import Peers

INTERVAL = 1.0  # seconds
_PAUSE = 0.5

_BEAT = database.queries("queue")["beat"]
logger = logging.getLogger(__name__)


class Heartbeat:
    """Beats until `stop`; calls `on_lost` (from its thread) once if others took us for dead.
    The event loop calls `tick` at least once a second. `on_notify` is called (from its thread) with
    the payload of each notification on `channels`, and with None whenever it begins to listen,
    also after a break: something may have been missed. What each beat learns: `beat` in sql/queue.
    """

    def __init__(
        self,
        url: str,
        worker_id: int,
        limits: Limits,
        *,
        on_lost: Callable[[], None],
        channels: Collection[str] = (),
        on_notify: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self.worker_id = worker_id
        self.is_leader = False
        self.is_to_rescue = False
        self.peers: Peers = []
        self._url = url
        self._params: dict[str, Any] = {
            "worker_id": worker_id,
            "silence": f"{limits.silence} seconds",
            "stock_silence": f"{limits.stock_silence} seconds",
        }
        self._limits = limits
        self._on_lost = on_lost
        self._channels = channels
        self._on_notify = on_notify
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._ticked_at = self._beat_at = self._regular_since = time.monotonic()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def tick(self) -> None:
        self._ticked_at = time.monotonic()

    @property
    def is_regular(self) -> bool:
        """Whether others that are alive had the time to say so: our own beats came through without
        a gap for as long as makes a worker dead. After an outage, a stall of commits or a pause of
        this process every worker's last beat is old."""
        now = time.monotonic()
        return (
            now - self._beat_at < 2 * INTERVAL and now - self._regular_since > self._limits.silence
        )

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with database.connect_here(self._url, "activelog heartbeat") as conn:
                    self._listen(conn)
                    if not self._beat(conn):
                        self._on_lost()
                        return
            except Exception as error:  # a thread that died would leave jobs that nobody rescues
                shown = None if isinstance(error, psycopg.Error) else error
                logger.warning("No heartbeat: %s", str(error).strip(), exc_info=shown)
                self._stopped.wait(_PAUSE)

    def _listen(self, conn: psycopg.Connection) -> None:
        conn.add_notify_handler(lambda notify: self._on_notify(notify.payload))
        for channel in self._channels:
            conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._on_notify(None)

    def _beat(self, conn: psycopg.Connection) -> bool:
        """Returns when stopped (True) or when the worker's row is gone (False)."""
        while not self._stopped.is_set():
            if time.monotonic() - self._ticked_at > self._limits.blocked:
                logger.error("A job blocks the event loop: no heartbeat until it goes on")
            else:
                learned = conn.execute(_BEAT, self._params).fetchone()
                if learned is None:
                    return False
                self.is_leader, self.is_to_rescue, peers = learned
                self.peers = peers or []
                self._note_beat()
            self._hear(conn, INTERVAL)
        return True

    def _hear(self, conn: psycopg.Connection, seconds: float) -> None:
        """For so long. (By libpq's own calls: psycopg's generator wakes ten times a second.)"""
        socket = select.poll()
        socket.register(conn.fileno(), select.POLLIN)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopped.is_set():
            if socket.poll(1000 * left):
                conn.pgconn.consume_input()
                while notify := conn.pgconn.notifies():
                    self._on_notify(notify.extra.decode())

    def _note_beat(self) -> None:
        now = time.monotonic()
        if now - self._beat_at > 2 * INTERVAL:
            self._regular_since = now
        self._beat_at = now
