"""The mails of an export: it is ready, or it failed for good."""

from datetime import UTC, datetime
from uuid import UUID

from activelog import tickets
from activelog.exports import queries
from activelog.exports.model import Export
from activelog.mail import Claim, Content, MailKind
from activelog.services import Services
from activelog.tickets import Ticket
from activelog.tickets.routes import download_url


async def _ready(services: Services, claim: Claim) -> Content:
    """An export that has expired or is gone is not announced any more."""
    found = await _find(services, claim)
    if found is None or found[0].status != "completed":
        return None
    ticket, export = found
    result = ticket.result or {}
    return {
        "url": download_url(services, ticket),
        "format": export.format.upper(),
        "records": result["record_count"],
        "size": result["file_size"],
        "expires_at": ticket.expires_at,
    }


async def _failed(services: Services, claim: Claim) -> Content:
    """One that was retried by hand and succeeded meanwhile is not told of."""
    found = await _find(services, claim)
    if found is None or found[0].status != "failed":
        return None
    ticket, export = found
    return {"format": export.format.upper(), "reason": ticket.error or "an error on our side"}


async def _find(services: Services, claim: Claim) -> tuple[Ticket, Export] | None:
    export_id = UUID(claim.dedup_key)
    async with services.pool.connection() as conn:
        ticket = await tickets.get(conn, export_id, claim.user_id)
        export = await queries.get(conn, export_id)
    return (ticket, export) if ticket and export else None


READY = MailKind(
    "export_ready",
    "activelog.exports.announce",
    "default",
    key="ticket_id",
    content=_ready,
    fixture={
        "format": "CSV",
        "records": 1280,
        "size": 84_120,
        "url": "https://activelog.example/link?token=" + "x" * 43,
        "expires_at": datetime(2024, 1, 22, 14, 30, tzinfo=UTC),
    },
    list="export_ready",
    cap=20,
)
FAILED = MailKind(  # written by a trigger, since a job may kill its workers
    "export_failed",
    "activelog.exports.announce_failure",
    "default",
    key="ticket_id",
    content=_failed,
    fixture={"format": "PDF", "reason": "failed to generate export: the disk is full"},
    cap=20,
)

MAILS = (READY, FAILED)
