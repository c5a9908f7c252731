import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Concatenate, ParamSpec, TypeVar
from uuid import UUID, uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from activelog import http, tickets
from activelog.accounts import queries as accounts
from activelog.accounts import quotas
from activelog.base.errors import AppError, Permanent
from activelog.base.zones import clean_zone
from activelog.database import Conn
from activelog.http import Endpoint
from activelog.imports import queries
from activelog.imports.model import IMPORT, Choices, Import, ImportQuery
from activelog.imports.preview import BEGINNING, Preview, preview
from activelog.imports.source import check_beginning, detect, header_digest
from activelog.imports.tasks import import_csv
from activelog.services import Services, of_request
from activelog.tickets import ConcurrencyGroup, JobAccepted
from activelog.tickets.routes import accept

P = ParamSpec("P")
T = TypeVar("T")

UPLOAD_LIMIT = 200 * 1024 * 1024  # bytes
WAITING = 10  # imports of one user, behind the one that runs


async def import_upload(request: Request, user_id: int, query: ImportQuery) -> Response:
    """Imports a file, sent as the body, in the background: our CSV, what Strava, Garmin Connect,
    RunKeeper, Hevy and Strong export in any language, a sheet of your own, GPX, TCX or FIT; plain,
    packed by gzip, or a ZIP of Strava's or of tracks. Good rows are imported, those that are there
    already are skipped, the others reported by line in the job's result. What the file does not
    tell, units or the order of dates, you can say."""
    services = of_request(request)
    if query.zone:
        clean_zone(query.zone)
    with (
        services.uploads(user_id),
        tempfile.TemporaryDirectory(prefix="activelog-") as folder,
    ):
        path = Path(folder, "upload.csv")
        digest = await http.save_body(request, path, UPLOAD_LIMIT, check_beginning)
        header = await _readable(path, header_digest)
        choices = await _with_known_columns(services, user_id, query, header)
        await _readable(path, detect, msgspec.convert(choices, Choices))
        ticket_id = uuid4()
        key = import_key(user_id, ticket_id)
        await services.storage.put(key, path, "text/csv")

    async def start(conn: Conn) -> Response:
        await quotas.check(conn, services.settings.quotas, user_id, "imports_today")
        if query.columns and header:
            await queries.remember_columns(conn, user_id, header, query.columns)
        await open_import(conn, ticket_id, user_id, Import(key, query.dry_run, choices))
        return await accept(request, conn, ticket_id, IMPORT, import_csv, "import job started")

    try:
        response = await http.once(request, user_id, [digest, query], start)
    except AppError:  # after another error the job may be there: the night sweeps if it is not
        await services.storage.remove(key)
        raise
    if http.is_replay(response):
        await services.storage.remove(key)
    return response


async def import_preview(request: Request, user_id: int, query: Choices) -> Response:
    """What a table, sent as the body, would come in as: which column is what, and its first five
    rows. The first MiB of a file is enough. `columns` are those that you said of such a table
    before, unless you say them now."""
    return http.json(await find_preview(request, user_id, query))


async def find_preview(request: Request, user_id: int, query: Choices) -> Preview:
    services = of_request(request)
    if query.zone:
        clean_zone(query.zone)
    with (
        services.uploads(user_id),
        tempfile.TemporaryDirectory(prefix="activelog-") as folder,
    ):
        path = Path(folder, "beginning.csv")
        await http.save_body(request, path, BEGINNING, check_beginning)
        header = await _readable(path, header_digest)
        choices = await _with_known_columns(services, user_id, query, header)
        async with services.pool.connection() as conn:
            choices = {"zone": await accounts.zone(conn, user_id)} | choices
        return await _readable(path, preview, msgspec.convert(choices, Choices), services.clock())


async def _with_known_columns(
    services: Services, user_id: int, query: Choices, header: str | None
) -> dict[str, Any]:
    choices = query.made()
    if header and not query.columns:
        async with services.pool.connection() as conn:
            known = await queries.known_columns(conn, user_id, header)
        if known:
            choices["columns"] = known
    return choices


def import_key(user_id: int, ticket_id: UUID) -> str:
    return f"imports/{user_id}/{ticket_id}.csv"


async def open_import(conn: Conn, ticket_id: UUID, user_id: int, wanted: Import) -> None:
    """Its file must be in the storage already. Somebody's imports run one after another, or two of
    one file would not see each other's activities."""
    group = ConcurrencyGroup(f"imports of {user_id}", limit=1, most_waiting=WAITING)
    opening = tickets.opening(ticket_id, user_id, IMPORT, import_csv, group)
    if not await queries.request(conn, wanted, opening):
        raise group.refusal("imports")


async def _readable(
    path: Path, look: Callable[Concatenate[BinaryIO, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """What a look at the file finds; 400 for a file that we cannot read."""
    with path.open("rb") as file:
        try:
            return await asyncio.to_thread(look, file, *args, **kwargs)
        except Permanent as error:
            message = f"the body is no file of activities that we know: {error}"
            raise AppError("invalid request", message) from None


ENDPOINTS = [
    Endpoint("POST", "/api/v1/activities/import", import_upload, {202: JobAccepted},
             errors=(408, 409, 429), request_type="text/csv", idempotent=True),
    Endpoint("POST", "/api/v1/activities/import/preview", import_preview, {200: Preview},
             errors=(408,), request_type="text/csv"),
]  # fmt: skip
