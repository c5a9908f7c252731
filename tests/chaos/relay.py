"""A relay that keeps what it takes, says so or not, and misbehaves when it is told to."""

import asyncio
import random
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope, Session

from tests.processes import free_port

MOODS = ("refuses", "hangs", "drops")
_LINK = re.compile(r"/verify-email\?token=([\w-]+)")


@dataclass(frozen=True)
class Delivery:
    """`was_answered`: the sender may have read that it was taken."""

    at: float  # time.time()
    message_id: str
    to: str
    text: str
    was_answered: bool


@dataclass
class Relay:
    mood: str = "well"
    deliveries: list[Delivery] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _random: random.Random = field(default_factory=random.Random)

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # fmt: skip  # noqa: N802, E501
        if self.mood == "refuses":
            return "451 4.7.1 not now"
        if self.mood == "hangs":
            await asyncio.sleep(20)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        is_dropped = self.mood == "drops" and self._random.random() < 0.5
        self._keep(envelope, was_answered=not is_dropped)
        if is_dropped:
            server.transport.abort()
        return "250 2.0.0 kept"

    def _keep(self, envelope: Envelope, *, was_answered: bool) -> None:
        mail = message_from_bytes(envelope.content or b"", policy=policy.default)  # type: ignore[arg-type]
        assert isinstance(mail, EmailMessage)
        body = mail.get_body(("plain",))
        text = body.get_content() if body else ""
        with self._lock:
            for address in envelope.rcpt_tos:
                message_id = str(mail["Message-ID"])
                found = Delivery(time.time(), message_id, address, text, was_answered)
                self.deliveries.append(found)

    def token_for(self, address: str) -> str | None:
        with self._lock:
            for delivery in reversed(self.deliveries):
                if delivery.to == address and (link := _LINK.search(delivery.text)):
                    return link[1]
        return None

    def by_message(self) -> dict[str, list[Delivery]]:
        found: dict[str, list[Delivery]] = defaultdict(list)
        with self._lock:
            for delivery in self.deliveries:
                found[delivery.message_id].append(delivery)
        return found


@contextmanager
def running() -> Iterator[tuple[Relay, str]]:
    """The relay and its URL."""
    relay = Relay()
    port = free_port()
    controller = Controller(relay, hostname="127.0.0.1", port=port, ready_timeout=10)
    controller.start()
    try:
        yield relay, f"smtp://127.0.0.1:{port}"
    finally:
        controller.stop()
