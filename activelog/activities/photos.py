"""Photos of activities: stored as JPEGs that tell nothing but what they show."""

import tempfile
from pathlib import Path
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response

from activelog import database, http
from activelog.accounts import quotas
from activelog.activities import queries
from activelog.activities.model import Photo, Photos, StoredPhoto
from activelog.base.errors import AppError, JobError
from activelog.base.pictures import NotAPicture, Picture, clean_picture
from activelog.base.processes import TooCostly
from activelog.database import Conn
from activelog.http import Endpoint, files
from activelog.services import Services, of_request

UPLOAD_LIMIT = 20 * 1024 * 1024  # bytes
LONGEST_SIDE = 2048  # pixels
LONGEST_DECODING = 10.0  # seconds
PER_ACTIVITY = 10


async def add(request: Request, user_id: int, activity_id: int) -> Response:
    """Adds a photo, sent as the body: JPEG, PNG or WebP, 20 MB at most, ten for an activity. It is
    scaled to 2,048 pixels and loses its metadata, the place where it was taken among them."""
    services = of_request(request)
    async with services.pool.connection() as conn:
        await _check_room(conn, user_id, activity_id)
        await quotas.check(conn, services.settings.quotas, user_id, "photo_bytes")
    with services.photo_uploads(user_id):
        picture = await _receive(request, services, user_id)
    photo_id = uuid4()
    key = f"photos/{user_id}/{photo_id}.jpg"
    with tempfile.TemporaryDirectory(prefix="activelog-") as folder:
        path = Path(folder, "photo.jpg")
        path.write_bytes(picture.data)
        await services.storage.put(key, path, "image/jpeg")
    try:
        async with database.transaction(services.pool) as conn:
            await queries.lock(conn, activity_id, user_id)  # others may be adding, too
            await _check_room(conn, user_id, activity_id)
            photo = StoredPhoto(photo_id, key, picture.width, picture.height, len(picture.data))
            added = await queries.add_photo(conn, user_id, activity_id, photo)
    except AppError:
        await services.storage.remove(key)
        raise
    return http.json(added, 201, {"Location": f"/api/v1/photos/{photo_id}"})


async def page(request: Request, user_id: int, activity_id: int) -> Response:
    """An activity's photos, oldest first."""
    async with of_request(request).pool.connection() as conn:
        if await queries.get(conn, activity_id, user_id) is None:
            raise AppError.not_found("activity")
        found = await queries.photos(conn, activity_id, user_id)
    return http.json(Photos(found))


async def show(request: Request, user_id: int, photo_id: UUID) -> Response:
    """Leads to the picture, for ten minutes."""
    services = of_request(request)
    key = await find_key(services, photo_id, user_id)
    return await files.lead_to(services, key, f"{photo_id}.jpg")


async def delete(request: Request, user_id: int, photo_id: UUID) -> Response:
    """Deletes a photo."""
    services = of_request(request)
    key = await find_key(services, photo_id, user_id)
    await services.storage.remove(key)  # before the row, which can be deleted again
    async with services.pool.connection() as conn:
        await queries.delete_photo(conn, photo_id, user_id)
    return Response(status_code=204)


async def find_key(services: Services, photo_id: UUID, user_id: int) -> str:
    """Of its object; 404 for what is not there or somebody else's."""
    async with services.pool.connection() as conn:
        key = await queries.photo_key(conn, photo_id, user_id)
    if key is None:
        raise AppError.not_found("photo")
    return key


async def _check_room(conn: Conn, user_id: int, activity_id: int) -> None:
    if await queries.get(conn, activity_id, user_id) is None:
        raise AppError.not_found("activity")
    if len(await queries.photos(conn, activity_id, user_id)) >= PER_ACTIVITY:
        raise AppError("conflict", f"an activity has {PER_ACTIVITY} photos at most", 409)


async def _receive(request: Request, services: Services, user_id: int) -> Picture:
    """Through a file: neither this process nor the one that decodes it is handed 20 MB at once."""
    with tempfile.TemporaryDirectory(prefix="activelog-") as folder:
        path = Path(folder, "upload")
        await http.save_body(request, path, UPLOAD_LIMIT, _check_beginning)
        return await http.while_connected(request, _clean(services, user_id, path))


def _check_beginning(data: bytes) -> None:
    """Before the rest is taken in."""
    if not data.startswith((b"\xff\xd8", b"\x89PNG", b"RIFF")):
        raise AppError("invalid request", "the body is no JPEG, PNG or WebP picture")


async def _clean(services: Services, user_id: int, path: Path) -> Picture:
    try:
        return await services.offload(
            clean_picture, path, LONGEST_SIDE, owner=user_id, seconds=LONGEST_DECODING
        )
    except NotAPicture as error:
        raise AppError("invalid request", str(error)) from None
    except TooCostly as error:
        raise AppError("invalid request", f"the picture cannot be read: {error}") from None
    except JobError:
        raise AppError("unavailable", "try again in a moment", 503, retry_after=5) from None


ENDPOINTS = [
    Endpoint("POST", "/api/v1/activities/{activity_id}/photos", add, {201: Photo},
             errors=(409,), request_type="image/*"),
    Endpoint("GET", "/api/v1/activities/{activity_id}/photos", page, {200: Photos}),
    Endpoint("GET", "/api/v1/photos/{photo_id}", show, {302: None}),
    Endpoint("DELETE", "/api/v1/photos/{photo_id}", delete, {204: None}),
]  # fmt: skip
