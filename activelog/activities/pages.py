"""Activities as a person keeps them: list, add, edit, photos, import with a report."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from activelog import api, site, tickets
from activelog.activities import photos, queries, routes
from activelog.activities.model import Change, ImportQuery, ListQuery, NewActivity
from activelog.errors import AppError
from activelog.services import of_request
from activelog.site import Form, Page, Visitor
from activelog.storage import ObjectMissing

_PAGE = 30
_CLEARED: dict[str, Any] = {"calories": None, "distance_km": 0}


async def page(request: Request, visitor: Visitor) -> Response:
    fields = {name: value for name, value in request.query_params.items() if value}
    query = api.convert(fields | {"limit": _PAGE}, ListQuery)
    found = await routes.find_page(of_request(request), visitor.id, query)
    now = of_request(request).clock()
    return site.page(request, "activities.html", found=found, query=query, now=now)


async def create(request: Request, visitor: Visitor, form: Form) -> Response:
    await routes.create(request, visitor.id, api.convert(_fields(form), NewActivity))
    return site.back(request, "/activities", "Logged. Well done!")


async def show(request: Request, visitor: Visitor, activity_id: int) -> Response:
    async with of_request(request).pool.connection() as conn:
        activity = await queries.get(conn, activity_id, visitor.id)
        if activity is None:
            raise AppError.not_found("activity")
        pictures = await queries.photos(conn, activity_id, visitor.id)
    return site.page(request, "activity.html", activity=activity, photos=pictures)


async def change(request: Request, visitor: Visitor, activity_id: int, form: Form) -> Response:
    # An empty field of the form is one that was cleared.
    cleared = {name: value for name, value in _CLEARED.items() if form.get(name) == ""}
    change = api.convert(cleared | _fields(form), Change)
    await routes.change(request, visitor.id, activity_id, change)
    return site.back(request, f"/activities/{activity_id}", "Saved.")


async def delete(request: Request, visitor: Visitor, activity_id: int) -> Response:
    await routes.delete(request, visitor.id, activity_id)
    return site.back(request, "/activities", "Deleted.")


async def add_photo(request: Request, visitor: Visitor, activity_id: int) -> Response:
    return await _for_script(
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
    return site.back(request, site.local_path(form.get("next", "")), "Photo deleted.")


async def import_form(request: Request, visitor: Visitor) -> Response:
    return site.page(request, "import.html")


async def import_upload(request: Request, visitor: Visitor) -> Response:
    query = ImportQuery(dry_run="dry_run" in request.query_params)
    return await _for_script(routes.import_upload(request, visitor.id, query), "/import/{job_id}")


async def import_job(request: Request, visitor: Visitor, job_id: UUID) -> Response:
    async with of_request(request).pool.connection() as conn:
        ticket = await tickets.get(conn, job_id, visitor.id)
    if ticket is None or ticket.kind != routes.IMPORT:
        raise AppError.not_found("import")
    return site.page(request, "import_job.html", job=ticket.body(""))


async def _for_script(answer: Any, target: str) -> Response:
    """What the API answered, and the page that the script opens then."""
    try:
        body = msgspec.json.decode((await answer).body)
    except AppError as error:
        return api.problem(error)
    return api.json({"page": target.format_map(body)})


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
    Page("GET", "/import", import_form),
    Page("POST", "/import", import_upload),
    Page("GET", "/import/{job_id}", import_job),
]
