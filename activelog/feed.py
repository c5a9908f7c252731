"""Tells many listeners of one process what Postgres announces, over one connection."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from activelog.listening import listen


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
            self._listening = asyncio.create_task(
                listen(
                    self._url,
                    [self._channel],
                    application="activelog feed",
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
