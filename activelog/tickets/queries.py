from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from activelog import database
from activelog.base import logs
from activelog.base.errors import AppError
from activelog.database import Conn
from activelog.queue import AnyTask
from activelog.tickets.model import Ticket

_SQL = database.queries("tickets")


@dataclass(frozen=True)
class ConcurrencyGroup:
    """Of its tickets `limit` have a job at a time, and `most_waiting` more may wait."""

    name: str
    limit: int
    most_waiting: int

    def refusal(self, things: str) -> AppError:
        """The 429 for one `things` too many."""
        refused = f"{self.most_waiting} of your {things} wait already; wait for one"
        return AppError("too many requests", refused, 429, retry_after=30)


def opening(
    ticket_id: UUID, user_id: int, kind: str, task: AnyTask, group: ConcurrencyGroup
) -> dict[str, Any]:
    """The parameters of `open_ticket(…)`, which features call in the statement that writes the
    row they ask for work with. It defers `task(ticket_id=…)`, now or when the group lets it."""
    return {
        "id": ticket_id,
        "user_id": user_id,
        "kind": kind,
        "task": task.name,
        "queue": task.queue,
        "group": group.name,
        "limit": group.limit,
        "most_waiting": group.most_waiting,
        "origin": Jsonb(logs.origin()),
    }


async def estimate(conn: Conn, kind: str, queue: str) -> float:
    """Seconds."""
    return float(await database.value(conn, _SQL["estimate"], {"kind": kind, "queue": queue}))


async def get(conn: Conn, ticket_id: UUID, user_id: int) -> Ticket | None:
    return (await get_all(conn, [ticket_id], user_id)).get(ticket_id)


async def get_all(conn: Conn, ticket_ids: list[UUID], user_id: int) -> dict[UUID, Ticket]:
    found = await find(conn, [Wanted(ticket_id, user_id) for ticket_id in ticket_ids])
    return {ticket.id: ticket for ticket in found if ticket is not None}


@dataclass(frozen=True)
class Wanted:
    ticket_id: UUID
    user_id: int


async def find(conn: Conn, wanted: Sequence[Wanted]) -> list[Ticket | None]:
    """In their order; None for one that is not there, or somebody else's."""
    params = {
        "ids": [one.ticket_id for one in wanted],
        "user_ids": [one.user_id for one in wanted],
    }
    rows = await database.many(conn, _SQL["get"], params, Ticket)
    found = {Wanted(ticket.id, ticket.user_id): ticket for ticket in rows}
    return [found.get(one) for one in wanted]


@dataclass(frozen=True)
class Started:
    user_id: int
    is_cancelled: bool


async def start(conn: Conn, ticket_id: UUID) -> Started | None:
    """None when the ticket is finished or gone."""
    return await database.one(conn, _SQL["start"], {"id": ticket_id}, Started)


async def report(conn: Conn, ticket_id: UUID, progress: int, message: str) -> None:
    params = {"id": ticket_id, "progress": progress, "message": message}
    await database.execute(conn, _SQL["report"], params)


async def complete(
    conn: Conn, ticket_id: UUID, *, message: str, result: dict[str, Any], days: int | None
) -> bool:
    """The result is good for `days` (None: for good). False when the ticket was finished or
    cancelled by somebody else meanwhile."""
    params = {"id": ticket_id, "message": message, "result": Jsonb(result), "days": days}
    return await database.execute(conn, _SQL["complete"], params) == 1


async def is_cancelled(conn: Conn, ticket_id: UUID) -> bool:
    """Also when it is gone."""
    return bool(await database.value(conn, _SQL["is_cancelled"], {"id": ticket_id}))


async def cancel(conn: Conn, ticket_id: UUID, user_id: int) -> bool:
    """Cancels a waiting job and asks a running one to stop. False when it was over already."""
    params = {"id": ticket_id, "user_id": user_id}
    return await database.value(conn, _SQL["cancel"], params) is not None


async def add_done(conn: Conn, ticket_id: UUID, more: int) -> int:
    """How many things a job did so far, in all of its runs."""
    return int(await database.value(conn, _SQL["add_done"], {"id": ticket_id, "more": more}))
