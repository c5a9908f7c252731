"""The mails of exports: some are ready, or one failed for good."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from activelog import tickets
from activelog.exports import queries
from activelog.exports.model import Export
from activelog.mail import Claim, Content, MailKind
from activelog.services import Services
from activelog.tickets import Ticket
from activelog.tickets.routes import download_url

PAUSE = timedelta(minutes=10)  # between two mails of exports that are ready


async def _ready(services: Services, claim: Claim) -> Content:
    """All that became ready since the last such mail, and is still there."""
    async with services.pool.connection() as conn:
        ready = await queries.take_ready(conn, claim.user_id, claim.id)
        found = await tickets.get_all(conn, [one.id for one in ready], claim.user_id)
    exports = [
        _file(one.format, download_url(services, ticket), ticket.result or {}, ticket.expires_at)
        for one in ready
        if (ticket := found.get(one.id))
    ]
    return {"exports": exports, "total": ready[0].total} if exports else None


def _file(
    kind: str, url: str, result: Mapping[str, Any], expires_at: datetime | None
) -> dict[str, Any]:
    return {
        "url": url,
        "format": kind.upper(),
        "records": result["record_count"],
        "size": result["file_size"],
        "expires_at": expires_at,
    }


async def _failed(services: Services, claim: Claim) -> Content:
    """One that was retried by hand and succeeded meanwhile is not told of."""
    found = await _find(services, claim)
    if found is None or found[0].status != "failed":
        return None
    ticket, export = found
    return {"format": export.format.upper(), "error": ticket.error or "an error on our side"}


async def _find(services: Services, claim: Claim) -> tuple[Ticket, Export] | None:
    export_id = UUID(claim.dedup_key)
    async with services.pool.connection() as conn:
        ticket = await tickets.get(conn, export_id, claim.user_id)
        export = await queries.get(conn, export_id)
    return (ticket, export) if ticket and export else None


_URL = "https://activelog.example/link?token=" + "x" * 43
_UNTIL = datetime(2024, 1, 22, 14, 30, tzinfo=UTC)

READY = MailKind(
    "export_ready",
    "activelog.exports.announce",
    "default",
    key="ticket_id",
    content=_ready,
    fixture={
        "exports": [
            _file("csv", _URL, {"record_count": 1280, "file_size": 84_120}, _UNTIL),
            _file("pdf", _URL, {"record_count": 1, "file_size": 31_000}, _UNTIL),
        ],
        "total": 3,
    },
    list="export_ready",
    cap=20,
    reason="because you asked for an export",
)
FAILED = MailKind(  # written by a trigger, since a job may kill its workers
    "export_failed",
    "activelog.exports.announce_failure",
    "default",
    key="ticket_id",
    content=_failed,
    fixture={"format": "PDF", "error": "failed to generate export: the disk is full"},
    cap=20,
    reason="because you asked for an export",
)

MAILS = (READY, FAILED)
