from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from activelog import database, http
from activelog.accounts import quotas
from activelog.activities import queries
from activelog.activities.model import Activity, ActivityPage, Change, ListQuery, NewActivity, clean
from activelog.base import logs
from activelog.base.date_ranges import Selection, parse_time_range
from activelog.base.errors import AppError
from activelog.database import Conn
from activelog.http import Endpoint
from activelog.services import Services, of_request

Place = tuple[datetime, Annotated[int, Meta(ge=0, le=2**63 - 1)]]


async def create(request: Request, user_id: int, body: NewActivity) -> Response:
    """Logs an activity."""
    services, wanted = of_request(request), (user_id, clean(_checked(body)), logs.origin())
    await quotas.take_activity(services, user_id)

    async def create_one(conn: Conn) -> Response:
        [activity] = await queries.create(conn, [wanted])
        return _created(activity)

    if "idempotency-key" in request.headers:
        return await http.once(request, user_id, body, create_one)
    return _created(await services.batch(queries.create, wanted))


def _created(activity: Activity) -> Response:
    return http.json(activity, 201, {"Location": f"/api/v1/activities/{activity.id}"})


async def show(request: Request, user_id: int, activity_id: int) -> Response:
    """One activity."""
    async with of_request(request).pool.connection() as conn:
        return http.json(_found(await queries.get(conn, activity_id, user_id)))


async def page(request: Request, user_id: int, query: ListQuery) -> Response:
    """Activities, newest first; by day, type and tag. `next_cursor` leads to the next page."""
    return http.json(await find_page(of_request(request), user_id, query))


async def find_page(services: Services, user_id: int, query: ListQuery) -> ActivityPage:
    times = parse_time_range(query.start_date, query.end_date)
    selection = Selection(user_id, times, query.type, query.tag)
    before = http.decode_cursor(query.cursor, Place) if query.cursor else None
    source = services.reader if before else services.pool  # old pages need not be the primary's
    async with source.connection() as conn:
        found = await queries.page(conn, selection, before, query.limit + 1)
    return ActivityPage(*http.cut(found, query.limit, lambda one: (one.activity_date, one.id)))


async def change(request: Request, user_id: int, activity_id: int, body: Change) -> Response:
    """Changes the fields that are given."""
    async with database.transaction(of_request(request).pool) as conn:
        current = _found(await queries.lock(conn, activity_id, user_id))
        values = clean(_changed(current, body))
        return http.json(_found(await queries.update(conn, activity_id, user_id, values)))


async def delete(request: Request, user_id: int, activity_id: int) -> Response:
    """Deletes an activity."""
    services = of_request(request)
    async with services.pool.connection() as conn:
        if not await queries.delete(conn, activity_id, user_id):
            raise AppError.not_found("activity")
    quotas.forget(services, user_id)
    return Response(status_code=204)


def _found(activity: Activity | None) -> Activity:
    if activity is None:
        raise AppError.not_found("activity")
    return activity


def _changed(current: Activity, change: Change) -> NewActivity:
    """Another duration without a moving time takes the old one away: it was of the old duration."""
    fields = {name: getattr(current, name) for name in NewActivity.__struct_fields__}
    given = {
        name: value
        for name in NewActivity.__struct_fields__
        if (value := getattr(change, name)) is not msgspec.UNSET
    }
    if given.get("duration_minutes", current.duration_minutes) != current.duration_minutes:
        fields["moving_minutes"] = None
    changed = NewActivity(**(fields | given))
    return _checked(changed) if given.keys() & {"moving_minutes", "duration_minutes"} else changed


def _checked(activity: NewActivity) -> NewActivity:
    if (activity.moving_minutes or 0) > activity.duration_minutes:
        raise AppError.invalid("moving_minutes", "must not be more than duration_minutes")
    return activity


ENDPOINTS = [
    Endpoint("POST", "/api/v1/activities", create, {201: Activity}, errors=(409,), idempotent=True),
    Endpoint("GET", "/api/v1/activities", page, {200: ActivityPage}),
    Endpoint("GET", "/api/v1/activities/{activity_id}", show, {200: Activity}),
    Endpoint("PATCH", "/api/v1/activities/{activity_id}", change, {200: Activity}),
    Endpoint("DELETE", "/api/v1/activities/{activity_id}", delete, {204: None}),
]
