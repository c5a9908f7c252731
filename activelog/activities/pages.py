"""Activities as a person keeps them: list, add, edit, photos."""

import asyncio
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from activelog import http
from activelog.activities import photos, queries, routes
from activelog.activities.model import Activity, Change, ListQuery, NewActivity
from activelog.base.errors import AppError
from activelog.base.formatting import exact
from activelog.base.units import in_kilometres, in_units, pace, speed
from activelog.base.zones import clocks_of
from activelog.http import pages
from activelog.http.pages import Form, Page, Visitor
from activelog.services import of_request
from activelog.storage import ObjectMissing

_PAGE = 30
_ON_FOOT = {"run", "running", "jog", "jogging", "walk", "walking", "hike", "hiking", "trail"}
_TYPES = ("running", "ride", "walk", "hike", "swim", "yoga", "strength")
_CLEARED: dict[str, Any] = {
    "calories": None,
    "distance_km": 0,
    "moving_minutes": None,
    "title": "",
}


async def page(request: Request, visitor: Visitor) -> Response:
    services = of_request(request)
    fields = pages.known_query(request, ListQuery)
    query = http.convert(fields | {"limit": _PAGE}, ListQuery)
    found = await routes.find_page(services, visitor.id, query)
    async with services.pool.connection() as conn:
        types = await queries.recent_types(conn, visitor.id)
    return pages.page(
        request,
        "activities/activities.html",
        found=found,
        query=query,
        now=visitor.clock(services.clock()),
        types=_suggested(types),
    )


async def create(request: Request, visitor: Visitor, form: Form) -> Response:
    fields = _fields(form, ZoneInfo(visitor.zone))
    await _spell_type(request, visitor, fields)
    await routes.create(request, visitor.id, http.convert(fields, NewActivity))
    return pages.back(request, "/activities", "Logged. Well done!")


async def show(request: Request, visitor: Visitor, activity_id: int) -> Response:
    async with of_request(request).pool.connection() as conn:
        activity = await queries.get(conn, activity_id, visitor.id)
        if activity is None:
            raise AppError.not_found("activity")
        pictures = await queries.photos(conn, activity_id, visitor.id)
        types = await queries.recent_types(conn, visitor.id)
    return pages.page(
        request,
        "activities/activity.html",
        activity=activity,
        pace=_pace(activity, visitor),
        photos=pictures,
        types=_suggested(types),
    )


async def change(request: Request, visitor: Visitor, activity_id: int, form: Form) -> Response:
    async with of_request(request).pool.connection() as conn:
        activity = await queries.get(conn, activity_id, visitor.id)
    if activity is None:
        raise AppError.not_found("activity")
    fields = _changed_fields(form, activity, visitor)
    await _spell_type(request, visitor, fields)
    await routes.change(request, visitor.id, activity_id, http.convert(fields, Change))
    return pages.back(request, f"/activities/{activity_id}", "Saved.")


def _changed_fields(form: Form, activity: Activity, visitor: Visitor) -> dict[str, Any]:
    said = dict(form)
    # An empty field of the form is one that was cleared.
    cleared = {name: value for name, value in _CLEARED.items() if said.get(name) == ""}
    if said.get("activity_date") == _form_time(activity.local_time):
        said.pop("activity_date")  # in the hour that clocks repeat it would be another moment
    if said.get("moving_minutes") == str(activity.moving_minutes or ""):
        said.pop("moving_minutes")  # it goes with the duration, unless somebody says another one
    if said.get("distance_mi") == exact(in_units(activity.distance_km, "mi")):
        said.pop("distance_mi")  # miles with three places are not exactly these metres
    return cleared | _fields(said, _place(activity, visitor))


async def _spell_type(request: Request, visitor: Visitor, fields: dict[str, Any]) -> None:
    """`Run` and `run` are one type, as this person, or else everybody, writes it."""
    said = str(fields.get("activity_type", "")).strip()
    async with of_request(request).pool.connection() as conn:
        types = _suggested(await queries.recent_types(conn, visitor.id))
    spelling = {one.casefold(): one for one in reversed(types)}
    if said.casefold() in spelling:
        fields["activity_type"] = spelling[said.casefold()]


def _suggested(types: list[str]) -> list[str]:
    """The person's own first."""
    return [*types, *(one for one in _TYPES if one not in types)]


async def delete(request: Request, visitor: Visitor, activity_id: int) -> Response:
    await routes.delete(request, visitor.id, activity_id)
    return pages.back(request, "/activities", "Deleted.")


async def add_photo(request: Request, visitor: Visitor, activity_id: int) -> Response:
    return await pages.for_script(
        photos.add(request, visitor.id, activity_id), f"/activities/{activity_id}"
    )


async def photo(request: Request, visitor: Visitor, photo_id: UUID) -> Response:
    """The picture itself: a page may only show images from its own origin."""
    services = of_request(request)
    key = await photos.find_key(services, photo_id, visitor.id)
    try:
        async with services.storage.open(key) as file:
            data = await asyncio.to_thread(file.read)
    except ObjectMissing:
        raise AppError.not_found("photo") from None
    return Response(data, 200, {"Cache-Control": "private, max-age=3600"}, "image/jpeg")


async def delete_photo(request: Request, visitor: Visitor, photo_id: UUID, form: Form) -> Response:
    await photos.delete(request, visitor.id, photo_id)
    return pages.back(request, pages.local_path(form.get("next", "")), "Photo deleted.")


def _form_time(moment: datetime) -> str:
    """As a field of a form has it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}"


def _place(activity: Activity, visitor: Visitor) -> tzinfo:
    """Of its clocks: the person's zone, or of a place away from it the offset."""
    at_home = visitor.clock(activity.activity_date).utcoffset()
    is_at_home = at_home == timedelta(minutes=activity.utc_offset)
    return ZoneInfo(visitor.zone) if is_at_home else clocks_of(activity.utc_offset)


def _fields(form: Form, zone: tzinfo) -> dict[str, Any]:
    """A form's fields as the API has them: empty ones left out, tags a list, the time of a zone."""
    fields: dict[str, Any] = {name: value for name, value in form.items() if value != ""}
    with suppress(KeyError, ValueError):
        at = datetime.fromisoformat(fields["activity_date"])
        if at.tzinfo is None:  # an hour that clocks leave out is moved, as they are
            at = at.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
        fields["activity_date"] = at
    if (miles := form.get("distance_mi")) is not None:
        fields.pop("distance_mi", None)
        fields["distance_km"] = _kilometres(miles)
    tags = str(fields.pop("tags", "")).split(",")
    if ":" in str(fields.get("duration_minutes", "")):
        fields["duration_minutes"] = _minutes(fields["duration_minutes"])
    fields["tags"] = [tag for text in tags if (tag := text.strip())]
    fields.setdefault("notes", "")
    fields.setdefault("title", "")
    return fields


def _minutes(text: str) -> int:
    """Of `1:30`, hours and minutes."""
    hours, _, minutes = text.strip().partition(":")
    if not re.fullmatch(r"\d{1,6}:[0-5]?\d", f"{hours}:{minutes}", re.ASCII):
        raise AppError.invalid("duration_minutes", "must be minutes, or hours like 1:30")
    return int(hours) * 60 + int(minutes)


def _pace(activity: Activity, visitor: Visitor) -> str:
    """Of those on foot a pace, of others a speed; of the moving time where it is known."""
    minutes = activity.moving_minutes or activity.duration_minutes
    words = activity.activity_type.casefold().split()
    tell = pace if words and words[-1] in _ON_FOOT else speed
    return tell(activity.distance_km, minutes, visitor.units)


def _kilometres(miles: str) -> float:
    try:
        return in_kilometres(float(miles or 0), "mi")
    except ValueError:
        raise AppError.invalid("distance_mi", "must be a number") from None


PAGES = [
    Page("GET", "/activities", page),
    Page("POST", "/activities", create),
    Page("GET", "/activities/{activity_id}", show),
    Page("POST", "/activities/{activity_id}", change),
    Page("POST", "/activities/{activity_id}/delete", delete),
    Page("POST", "/activities/{activity_id}/photos", add_photo),
    Page("GET", "/photos/{photo_id}", photo),
    Page("POST", "/photos/{photo_id}/delete", delete_photo),
]
