import asyncio
import tempfile
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from activelog import http, tickets
from activelog.accounts import quotas
from activelog.base.errors import AppError, Permanent
from activelog.base.zones import clean_zone
from activelog.database import Conn
from activelog.http import Endpoint
from activelog.imports import queries
from activelog.imports.model import IMPORT, Choices, Import, ImportQuery
from activelog.imports.source import check_beginning, detect
from activelog.imports.tasks import import_csv
from activelog.services import of_request
from activelog.tickets import ConcurrencyGroup, JobAccepted
from activelog.tickets.routes import accept

UPLOAD_LIMIT = 200 * 1024 * 1024  # bytes
WAITING = 10  # imports of one user, behind the one that runs


async def import_upload(request: Request, user_id: int, query: ImportQuery) -> Response:
    """Imports a file, sent as the body, in the background: our CSV, what Strava, Garmin Connect,
    RunKeeper, Hevy and Strong export in any language, a sheet of your own, GPX, TCX or FIT; plain,
    packed by gzip, or a ZIP of Strava's or of tracks. Good rows are imported, those that are there
    already are skipped, the others reported by line in the job's result. What the file does not
    tell, units or the order of dates, you can say."""
    services = of_request(request)
    choices = msgspec.convert(query.choices(), Choices)
    if choices.zone:
        clean_zone(choices.zone)
    with (
        services.uploads(user_id),
        tempfile.TemporaryDirectory(prefix="activelog-") as folder,
    ):
        path = Path(folder, "upload.csv")
        digest = await _receive(request, path, choices)
        ticket_id = uuid4()
        key = import_key(user_id, ticket_id)
        await services.storage.put(key, path, "text/csv")

    async def start(conn: Conn) -> Response:
        await quotas.check(conn, services.settings.quotas, user_id, "imports_today")
        wanted = Import(key, query.dry_run, query.choices())
        await open_import(conn, ticket_id, user_id, wanted)
        return await accept(request, conn, ticket_id, IMPORT, import_csv, "import job started")

    try:
        response = await http.once(request, user_id, [digest, query], start)
    except Exception:
        await services.storage.remove(key)
        raise
    if http.is_replay(response):
        await services.storage.remove(key)
    return response


def import_key(user_id: int, ticket_id: UUID) -> str:
    return f"imports/{user_id}/{ticket_id}.csv"


async def open_import(conn: Conn, ticket_id: UUID, user_id: int, wanted: Import) -> None:
    """Its file must be in the storage already. Somebody's imports run one after another, or two of
    one file would not see each other's activities."""
    group = ConcurrencyGroup(f"imports of {user_id}", limit=1, most_waiting=WAITING)
    opening = tickets.opening(ticket_id, user_id, IMPORT, import_csv, group)
    if not await queries.request(conn, wanted, opening):
        raise group.refusal("imports")


async def _receive(request: Request, path: Path, choices: Choices) -> str:
    digest = await http.save_body(request, path, UPLOAD_LIMIT, check_beginning)
    with path.open("rb") as file:
        try:
            await asyncio.to_thread(detect, file, choices)
        except Permanent as error:
            message = f"the body is no file of activities that we know: {error}"
            raise AppError("invalid request", message) from None
    return digest


ENDPOINTS = [
    Endpoint("POST", "/api/v1/activities/import", import_upload, {202: JobAccepted},
             errors=(408, 409, 429), request_type="text/csv", idempotent=True),
]  # fmt: skip
