"""Domains that take only so much at a time: learned from what their mail servers say, and kept in
Postgres for all workers."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from activelog.base.errors import Postponed
from activelog.database import Pool
from activelog.mail import queries
from activelog.mail.model import MailKind

_ASKED_EVERY = 2.0  # seconds between looks which ones are slow
_PATIENCE = 2.0  # seconds that a mail waits in its slot for its turn


@dataclass
class Domains:
    """Which are slow, as this process knows it."""

    _slow: Collection[str] = field(default_factory=frozenset)
    _asked_at: float = 0.0
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def await_turn(self, pool: Pool, kind: MailKind, mail_id: int, email: str) -> None:
        """Of a mail to a slow domain; what somebody waits for goes at once. Raises Postponed, until
        its turn, when that is far off."""
        domain = domain_of_address(email)
        if kind.queue == "critical" or not await self._is_slow(pool, domain):
            return
        async with pool.connection() as conn:
            seconds = await queries.take_domain_turn(conn, mail_id, domain)
        if seconds > _PATIENCE:
            raise Postponed(f"{domain} takes only so many mails at a time", seconds)
        await asyncio.sleep(max(0.0, seconds))

    async def note_throttled(self, pool: Pool, email: str, answer: str) -> None:
        async with pool.connection() as conn:
            await queries.slow_domain(conn, domain_of_address(email), answer)
        self._asked_at = 0.0

    async def note_taken(self, pool: Pool, email: str) -> None:
        domain = domain_of_address(email)
        if domain in self._slow:
            async with pool.connection() as conn:
                await queries.speed_domain(conn, domain)

    async def _is_slow(self, pool: Pool, domain: str) -> bool:
        async with self._asking:  # mails that come at once wait for one look
            if time.monotonic() - self._asked_at > _ASKED_EVERY:
                async with pool.connection() as conn:
                    self._slow = await queries.slow_domains(conn)
                self._asked_at = time.monotonic()
        return domain in self._slow


def domain_of_address(email: str) -> str:
    return email.rpartition("@")[2].lower()
