from uuid import uuid4

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from activelog import http
from activelog.base.errors import AppError
from activelog.http import Endpoint
from activelog.services import of_request
from activelog.webhooks import queries
from activelog.webhooks.model import (
    CreatedWebhook,
    Deliveries,
    NewWebhook,
    WebhookQuery,
    Webhooks,
)
from activelog.webhooks.sending import clean_url, secret_of


async def page(request: Request, user_id: int) -> Response:
    """Your webhooks."""
    async with of_request(request).pool.connection() as conn:
        return http.json(Webhooks(await queries.webhooks(conn, user_id)))


async def create(request: Request, user_id: int, body: NewWebhook) -> Response:
    """Posts events to an https address from now on: `{"type", "timestamp", "data"}`, signed as
    Standard Webhooks say. `data` is the activity, the export's job or the report's link; activities
    of an import of more than a hundred rows are none."""
    return http.json(await make(request, user_id, body), 201)


async def make(request: Request, user_id: int, wanted: NewWebhook) -> CreatedWebhook:
    services, webhook_id = of_request(request), uuid4()
    url = clean_url(wanted.url, may_be_private=services.settings.webhooks_private)
    events = list(dict.fromkeys(wanted.events))
    try:
        async with services.pool.connection() as conn:
            if not await queries.add(conn, webhook_id, user_id, url, events):
                raise AppError("too many", "you have ten webhooks; remove one first", 409)
    except psycopg.errors.UniqueViolation:
        raise AppError("conflict", "you have a webhook with that address", 409) from None
    secret = secret_of(services.settings.secret, webhook_id)
    return CreatedWebhook(webhook_id, url, events, secret)


async def remove(request: Request, user_id: int, query: WebhookQuery) -> Response:
    """Removes a webhook, and what waits for it."""
    async with of_request(request).pool.connection() as conn:
        if not await queries.remove(conn, user_id, query.id):
            raise AppError.not_found("webhook")
    return Response(status_code=204)


async def enable(request: Request, user_id: int, body: WebhookQuery) -> Response:
    """Uses a webhook again that was disabled, because its address failed for days."""
    async with of_request(request).pool.connection() as conn:
        if not await queries.enable(conn, user_id, body.id):
            raise AppError.not_found("webhook")
    return Response(status_code=204)


async def deliveries(request: Request, user_id: int) -> Response:
    """What was sent to your webhooks, and what waits."""
    async with of_request(request).pool.connection() as conn:
        return http.json(Deliveries(await queries.deliveries(conn, user_id)))


async def replay(request: Request, user_id: int, body: WebhookQuery) -> Response:
    """Sends an event again, as a new delivery. Takes a delivery's id."""
    async with of_request(request).pool.connection() as conn:
        if await queries.replay(conn, user_id, body.id):
            return Response(status_code=202)
        if await queries.is_disabled(conn, user_id, body.id):
            message = "the webhook is disabled; enable it, then send the event again"
            raise AppError("conflict", message, 409)
    raise AppError.not_found("delivery")


ENDPOINTS = [
    Endpoint("GET", "/api/v1/webhooks", page, {200: Webhooks}),
    Endpoint("POST", "/api/v1/webhooks", create, {201: CreatedWebhook}, errors=(409,),
             scope="session"),
    Endpoint("DELETE", "/api/v1/webhooks", remove, {204: None}, errors=(404,), scope="session"),
    Endpoint("POST", "/api/v1/webhooks/enable", enable, {204: None}, errors=(404,),
             scope="session"),
    Endpoint("GET", "/api/v1/webhooks/deliveries", deliveries, {200: Deliveries}),
    Endpoint("POST", "/api/v1/webhooks/deliveries/replay", replay, {202: None},
             errors=(404, 409)),
]  # fmt: skip
