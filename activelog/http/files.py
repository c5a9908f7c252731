"""Stored files: the way to them, and the objects of a folder storage for who has a signed link."""

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from activelog.base import auth
from activelog.base.errors import AppError
from activelog.services import Services, of_request
from activelog.storage import FILES_PATH, FolderStorage, ObjectMissing, content_disposition

PRESIGNED_SECONDS = 600


async def lead_to(services: Services, key: str, name: str) -> Response:
    """A redirect to the object, which a browser saves under `name`; good for ten minutes."""
    url = await services.storage.presign(key, name, PRESIGNED_SECONDS)
    return RedirectResponse(url, 302, {"Cache-Control": "no-store"})


async def serve(request: Request) -> Response:
    services = of_request(request)
    key = request.path_params["key"]
    query = request.query_params
    name, expires = query.get("name", ""), query.get("expires", "")
    genuine = auth.check_signature(
        query.get("signature", ""), services.settings.secret, "file", key, name, expires
    )
    if not isinstance(services.storage, FolderStorage) or not genuine:
        raise AppError("forbidden", "the link is not one of ours", 403)
    if auth.is_past(int(expires)):
        raise AppError("gone", "the link has expired", 410)
    try:
        path = services.storage.path_of(key)
    except ObjectMissing:
        raise AppError.not_found("file") from None
    headers = {"Content-Disposition": content_disposition(name), "Cache-Control": "no-store"}
    packed = "application/gzip" if path.suffix == ".gz" else None  # the file, not its encoding
    return FileResponse(path, headers=headers, media_type=packed)


ROUTES = [Route(FILES_PATH + "{key:path}", serve, methods=["GET"])]
