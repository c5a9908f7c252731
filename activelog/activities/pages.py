"""Activities as a person keeps them: list, add, edit, photos."""

import asyncio
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from activelog import http
from activelog.activities import photos, queries, routes
from activelog.activities.model import Change, ListQuery, NewActivity
from activelog.base.errors import AppError
from activelog.http import pages
from activelog.http.pages import Form, Page, Visitor
from activelog.services import of_request
from activelog.storage import ObjectMissing

_PAGE = 30
_CLEARED: dict[str, Any] = {"calories": None, "distance_km": 0}


async def page(request: Request, visitor: Visitor) -> Response:
    fields = pages.known_query(request, ListQuery)
    query = http.convert(fields | {"limit": _PAGE}, ListQuery)
    found = await routes.find_page(of_request(request), visitor.id, query)
    now = of_request(request).clock()
    return pages.page(request, "activities/activities.html", found=found, query=query, now=now)


async def create(request: Request, visitor: Visitor, form: Form) -> Response:
    await routes.create(request, visitor.id, http.convert(_fields(form), NewActivity))
    return pages.back(request, "/activities", "Logged. Well done!")


async def show(request: Request, visitor: Visitor, activity_id: int) -> Response:
    async with of_request(request).pool.connection() as conn:
        activity = await queries.get(conn, activity_id, visitor.id)
        if activity is None:
            raise AppError.not_found("activity")
        pictures = await queries.photos(conn, activity_id, visitor.id)
    return pages.page(request, "activities/activity.html", activity=activity, photos=pictures)


async def change(request: Request, visitor: Visitor, activity_id: int, form: Form) -> Response:
    # An empty field of the form is one that was cleared.
    cleared = {name: value for name, value in _CLEARED.items() if form.get(name) == ""}
    change = http.convert(cleared | _fields(form), Change)
    await routes.change(request, visitor.id, activity_id, change)
    return pages.back(request, f"/activities/{activity_id}", "Saved.")


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


def _fields(form: Form) -> dict[str, Any]:
    """A form's fields as the API has them: empty ones left out, tags as a list, a time of UTC."""
    fields: dict[str, Any] = {name: value for name, value in form.items() if value != ""}
    if "activity_date" in fields:
        whole_minute = len(fields["activity_date"]) == len("2024-01-15T06:30")
        fields["activity_date"] += ":00Z" if whole_minute else "Z"
    tags = str(fields.pop("tags", "")).split(",")
    fields["tags"] = [tag for text in tags if (tag := text.strip())]
    fields.setdefault("notes", "")
    return fields


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
