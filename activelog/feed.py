"""Tells many listeners of one process what Postgres announces, over one connection."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

_KEEPALIVE = 15.0
_PAUSE = 0.5

logger = logging.getLogger(__name__)


class Feed:
    """`with feed.follow(subject) as changed:` gives an Event that is set whenever the channel
    announces the subject, and after a break of the connection, for what was missed."""

    def __init__(self, url: str, channel: str) -> None:
        self._url = url
        self._channel = channel
        self._followers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._listening: asyncio.Task[None] | None = None

    @contextmanager
    def follow(self, subject: str) -> Iterator[asyncio.Event]:
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
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

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except psycopg.Error as error:
                logger.warning("Not listening: %s", str(error).strip())
                await asyncio.sleep(_PAUSE)

    async def _listen_once(self) -> None:
        async with await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, application_name="activelog feed", connect_timeout=3
        ) as conn:
            await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            for subject in list(self._followers):
                self._announce(subject)
            while True:
                async for notify in conn.notifies(timeout=_KEEPALIVE):
                    self._announce(notify.payload)
                # A connection that died without a word shows here.
                await conn.execute("SELECT 1")

    def _announce(self, subject: str) -> None:
        for changed in self._followers.get(subject, ()):
            changed.set()
