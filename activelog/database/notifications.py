"""What Postgres announces (LISTEN and NOTIFY), on a connection that comes back."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from activelog.database.connections import Conn, connect

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
                for channel in channels:
                    await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                on_start()
                async for payload in _payloads(conn):
                    on_notify(payload)
        except psycopg.Error as error:
            logger.warning("Not listening: %s", str(error).strip())
            await asyncio.sleep(_PAUSE)


async def _payloads(conn: Conn) -> AsyncIterator[str]:
    while True:
        async for notify in conn.notifies(timeout=_KEEPALIVE):
            yield notify.payload
        # A connection that died without a word (a firewall, a failover) shows here.
        await conn.execute("SELECT 1")


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
            self._listening = asyncio.create_task(
                listen(
                    self._url,
                    [self._channel],
                    application="activelog notifier",
                    on_start=self._announce_all,
                    on_notify=self._announce,
                )
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
