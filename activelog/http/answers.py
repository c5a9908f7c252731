"""JSON out."""

from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from activelog.base.errors import AppError

_PRIVATE = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}


class Problem(msgspec.Struct, omit_defaults=True):
    """What every error looks like. `details` says per field what is wrong."""

    error: str
    message: str
    details: dict[str, str] = {}


def json(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Somebody's data: no cache keeps them for others, and nothing takes them for a page."""
    content = msgspec.json.encode(body)
    return Response(content, status, _PRIVATE | dict(headers or {}), "application/json")


def problem(error: AppError) -> Response:
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return json(Problem(error.code, error.message, error.details), error.status, headers)


def with_etag(request: Request, response: Response) -> Response:
    """304 if the client has it already."""
    etag = f'"{sha256(bytes(response.body)).hexdigest()[:32]}"'
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": etag})
    response.headers["ETag"] = etag
    return response
