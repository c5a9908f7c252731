"""What Postgres announces (LISTEN and NOTIFY), on a connection that comes back."""

import asyncio
import contextvars
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.pq.abc import PGconn

from activelog.database.connections import connect

_KEEPALIVE = 15.0  # seconds
_PAUSE = 0.5

logger = logging.getLogger(__name__)


async def listen(
    url: str,
    channels: Collection[str],
    *,
    application: str,
    on_start: Callable[[], None],
    on_notify: Callable[[str], None],
) -> None:
    """Until it is cancelled. `on_notify` gets each payload; `on_start` is called whenever it
    listens, also after a break: something may have been missed."""
    while True:
        try:
            async with await connect(url, application) as conn:
                conn.add_notify_handler(lambda notify: on_notify(notify.payload))
                for channel in channels:
                    await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                on_start()
                while True:
                    await _read(conn.pgconn, on_notify)
                    # A connection that died without a word (a firewall, a failover) shows here.
                    await conn.execute("SELECT 1")
        except psycopg.Error as error:
            logger.warning("Not listening: %s", str(error).strip())
            await asyncio.sleep(_PAUSE)


async def _read(pgconn: PGconn, on_notify: Callable[[str], None]) -> None:
    """For a while, what comes unasked. (By libpq's own calls: psycopg's generator wakes ten times a
    second.)"""
    loop = asyncio.get_running_loop()
    lost = loop.create_future()

    def read() -> None:
        try:
            pgconn.consume_input()
            while notify := pgconn.notifies():
                on_notify(notify.extra.decode())
        except Exception as error:
            loop.remove_reader(socket)  # its number may be another connection's in a moment
            if not lost.done():
                lost.set_exception(error)

    socket = pgconn.socket
    loop.add_reader(socket, read)
    try:
        read()  # libpq may have received some with the answer before
        async with asyncio.timeout(_KEEPALIVE):
            await lost
    except TimeoutError:
        pass
    finally:
        if not lost.done() or lost.cancelled():
            loop.remove_reader(socket)


class Notifier:
    """Tells many followers in one process what a channel announces, over one connection.

    `with notifier.follow(subject) as changed:` gives an Event that is set whenever the channel
    announces the subject, and after a break of the connection, for what was missed."""

    def __init__(self, url: str, channel: str) -> None:
        self._url = url
        self._channel = channel
        self._followers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._listening: asyncio.Task[None] | None = None

    @contextmanager
    def follow(self, subject: str) -> Iterator[asyncio.Event]:
        if self._listening is None:
            # (Not within the trace of whoever comes first.)
            self._listening = asyncio.create_task(
                context=contextvars.Context(),
                coro=listen(
                    self._url,
                    [self._channel],
                    application="activelog notifier",
                    on_start=self._announce_all,
                    on_notify=self._announce,
                ),
            )
        changed = asyncio.Event()
        self._followers[subject].add(changed)
        try:
            yield changed
        finally:
            self._followers[subject].discard(changed)
            if not self._followers[subject]:
                del self._followers[subject]

    def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    def _announce_all(self) -> None:
        for subject in list(self._followers):
            self._announce(subject)

    def _announce(self, subject: str) -> None:
        for changed in self._followers.get(subject, ()):
            changed.set()
