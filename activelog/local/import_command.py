"""`activelog import`: an operator's way to give a user their history."""

import asyncio
import sys
from pathlib import Path
from uuid import uuid4

from activelog import database, http, tickets
from activelog.accounts import queries
from activelog.base.addresses import findable
from activelog.base.errors import AppError, CommandError
from activelog.base.settings import Settings
from activelog.base.zones import clean_zone
from activelog.imports.model import Choices, Import
from activelog.imports.routes import import_key, open_import
from activelog.operations import queries as operations
from activelog.services import make_services
from activelog.tickets import Ticket


class ImportFailed(CommandError):
    """In one line."""


async def run(settings: Settings, email: str, path: Path, said: dict[str, str]) -> None:
    """Hands the file to the workers and waits for the result. `said` are Choices. Raises
    ImportFailed."""
    if not path.is_file():
        raise ImportFailed(f"{path} is not a file")
    try:
        choices = http.convert(said, Choices).made()
        if "zone" in choices:
            clean_zone(str(choices["zone"]))
    except AppError as error:
        raise ImportFailed(str(error)) from None
    async with database.command_pool(settings, "activelog import") as pool:
        services = make_services(settings, pool)
        async with pool.connection() as conn:
            user_id = await queries.owner(conn, findable(email))
        if user_id is None:
            raise ImportFailed(f"nobody with the verified address {email} is registered")
        ticket_id = uuid4()
        await services.storage.put(import_key(user_id, ticket_id), path, "text/csv")
        try:
            async with database.transaction(pool) as conn:
                wanted = Import(import_key(user_id, ticket_id), dry_run=False, choices=choices)
                await open_import(conn, ticket_id, user_id, wanted)
        except AppError as error:
            await services.storage.remove(import_key(user_id, ticket_id))
            raise ImportFailed(str(error)) from None
        async with pool.connection() as conn:
            if not (await operations.ready(conn)).has_worker:
                print("No worker is alive: the import waits for one.", file=sys.stderr)
        while True:
            async with pool.connection() as conn:
                ticket = await tickets.get(conn, ticket_id, user_id)
            assert ticket is not None
            if ticket.status not in ("pending", "processing"):
                return _report(ticket)
            if sys.stderr.isatty():
                print(f"\r\033[K{ticket.message}", end="", file=sys.stderr, flush=True)
            await asyncio.sleep(0.3)


def _report(ticket: Ticket) -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if ticket.status != "completed":
        raise ImportFailed(ticket.error or f"the import is {ticket.status}")
    print(ticket.message)
    result = ticket.result or {}
    for remark in result["remarks"]:
        print(remark)
    for row in sorted(result["errors"] + result["doubts"], key=lambda row: row["line"]):
        print(f"line {row['line']}: {row['reason']}")
