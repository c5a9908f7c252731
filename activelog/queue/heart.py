"""Tells the other workers that this process is alive.

A thread with a connection of its own, so neither a busy event loop nor a draining worker falls
silent: stock procrastinate beats from the event loop and stops when it drains, and its jobs are
then run a second time.
"""

import logging
import threading
from collections.abc import Callable

import psycopg

from activelog import db

INTERVAL = 1.0
SILENCE = 6.0  # without a beat for so long, a worker is dead

_BEAT = db.queries("queue")["beat"]
logger = logging.getLogger(__name__)


class Heart:
    """Beats until `stop`; calls `on_lost` (from its thread) once if others took us for dead."""

    def __init__(self, url: str, worker_id: int, on_lost: Callable[[], None]) -> None:
        self._url = url
        self._worker_id = worker_id
        self._on_lost = on_lost
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=3) as conn:
                    if not self._beat(conn):
                        self._on_lost()
                        return
            except psycopg.Error as error:
                logger.warning("No heartbeat: %s", str(error).strip())
                self._stopped.wait(INTERVAL)

    def _beat(self, conn: psycopg.Connection) -> bool:
        """Returns when stopped (True) or when the worker's row is gone (False)."""
        while not self._stopped.is_set():
            if conn.execute(_BEAT, {"worker_id": self._worker_id}).rowcount == 0:
                return False
            self._stopped.wait(INTERVAL)
        return True
