import asyncio
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from activelog import api, db, logs, tickets
from activelog.activities import queries
from activelog.activities.csv_rows import detect_format, unpacked
from activelog.activities.model import (
    Activity,
    ActivityPage,
    Change,
    ImportQuery,
    ListQuery,
    NewActivity,
    clean,
)
from activelog.activities.tasks import import_csv
from activelog.db import Conn
from activelog.errors import AppError, Permanent
from activelog.period import Selection, parse_period
from activelog.services import Services, of_request
from activelog.tickets.routes import accept

UPLOAD_LIMIT = 200 * 1024 * 1024  # bytes
IMPORT = "import"
WAITING_IMPORTS = 10  # of one user, behind the one that runs

Place = tuple[datetime, Annotated[int, Meta(ge=0, le=2**63 - 1)]]


async def create(request: Request, user_id: int, body: NewActivity) -> Response:
    """Logs an activity."""
    wanted = (user_id, clean(body), logs.request_id())
    activity = await of_request(request).together(queries.create, wanted)
    return api.json(activity, 201, {"Location": f"/api/v1/activities/{activity.id}"})


async def show(request: Request, user_id: int, activity_id: int) -> Response:
    """One activity."""
    async with of_request(request).pool.connection() as conn:
        return api.json(_found(await queries.get(conn, activity_id, user_id)))


async def page(request: Request, user_id: int, query: ListQuery) -> Response:
    """Activities, newest first; by day, type and tag. `next_cursor` leads to the next page."""
    return api.json(await find_page(of_request(request), user_id, query))


async def find_page(services: Services, user_id: int, query: ListQuery) -> ActivityPage:
    period = parse_period(query.start_date, query.end_date)
    selection = Selection(user_id, period, query.type, query.tag)
    before = api.decode_cursor(query.cursor, Place) if query.cursor else None
    async with services.pool.connection() as conn:
        found = await queries.page(conn, selection, before, query.limit + 1)
    return ActivityPage(*api.cut(found, query.limit, lambda one: (one.activity_date, one.id)))


async def change(request: Request, user_id: int, activity_id: int, body: Change) -> Response:
    """Changes the fields that are given."""
    async with db.transaction(of_request(request).pool) as conn:
        current = _found(await queries.lock(conn, activity_id, user_id))
        values = clean(_changed(current, body))
        return api.json(_found(await queries.update(conn, activity_id, user_id, values)))


async def delete(request: Request, user_id: int, activity_id: int) -> Response:
    """Deletes an activity."""
    async with of_request(request).pool.connection() as conn:
        if not await queries.delete(conn, activity_id, user_id):
            raise AppError.not_found("activity")
    return Response(status_code=204)


async def import_upload(request: Request, user_id: int, query: ImportQuery) -> Response:
    """Imports a CSV file, sent as the body, plain or packed by gzip, in the background: ours, or
    Strava's activities.csv, or what Garmin Connect and RunKeeper export. Good rows are imported,
    those that are there already are skipped, the others reported by line in the job's result."""
    services = of_request(request)
    with tempfile.TemporaryDirectory(prefix="activelog-") as folder:
        path = Path(folder, "upload.csv")
        digest = await _receive(request, path)
        ticket_id = uuid4()
        key = import_key(user_id, ticket_id)
        await services.storage.put(key, path, "text/csv")

    async def start(conn: Conn) -> Response:
        await open_import(conn, ticket_id, user_id, dry_run=query.dry_run)
        return await accept(request, conn, ticket_id, IMPORT, import_csv, "import job started")

    try:
        response = await api.once(request, user_id, [digest, query.dry_run], start)
    except Exception:
        await services.storage.remove(key)
        raise
    if api.is_replay(response):
        await services.storage.remove(key)
    return response


def import_key(user_id: int, ticket_id: UUID) -> str:
    return f"imports/{user_id}/{ticket_id}.csv"


async def open_import(conn: Conn, ticket_id: UUID, user_id: int, *, dry_run: bool = False) -> None:
    """Its file must be in the storage already. Somebody's imports run one after another, or two of
    one file would not see each other's activities."""
    line = tickets.Line(f"imports of {user_id}", slots=1, waiting=WAITING_IMPORTS)
    opening = tickets.opening(ticket_id, user_id, IMPORT, import_csv, line)
    if not await queries.request_import(
        conn, import_key(user_id, ticket_id), opening, dry_run=dry_run
    ):
        raise line.refusal("imports")


async def _receive(request: Request, path: Path) -> str:
    digest = await api.save_body(request, path, UPLOAD_LIMIT)
    with path.open("rb") as file:
        try:
            await asyncio.to_thread(detect_format, unpacked(file))
        except Permanent as error:
            raise AppError(
                "invalid request", f"the body is no CSV of activities: {error}"
            ) from None
    return digest


def _found(activity: Activity | None) -> Activity:
    if activity is None:
        raise AppError.not_found("activity")
    return activity


def _changed(current: Activity, change: Change) -> NewActivity:
    fields = {name: getattr(current, name) for name in NewActivity.__struct_fields__}
    given = {
        name: value
        for name in NewActivity.__struct_fields__
        if (value := getattr(change, name)) is not msgspec.UNSET
    }
    return NewActivity(**(fields | given))
