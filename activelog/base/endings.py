"""Sessions, and what a process knows of those that ended before their time."""

import asyncio
import math
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class SessionId:
    """A session of a user, named by when it began."""

    user_id: int
    started_at: datetime


@dataclass
class Endings:
    """`asked_at` and `began_at` are monotonic seconds."""

    asked_at: float = -math.inf
    began_at: float = -math.inf
    newest: datetime | None = None
    sessions: set[SessionId] = field(default_factory=set)
    users: dict[int, datetime] = field(default_factory=dict)  # all that began before then
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def add(self, user_id: int, started_at: datetime | None, at: datetime) -> None:
        """`started_at` None: all sessions of the user until then."""
        if started_at is None:
            self.users[user_id] = at
        else:
            self.sessions.add(SessionId(user_id, started_at))
        self.newest = max(self.newest or at, at)

    def have(self, session: SessionId) -> bool:
        until = self.users.get(session.user_id)
        return session in self.sessions or (until is not None and session.started_at < until)

    def forget(self, now: float) -> None:
        self.sessions.clear()
        self.users.clear()
        self.newest, self.began_at = None, now
