from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from activelog import http
from activelog.http import pages
from activelog.http.pages import Form, Page, Visitor
from activelog.services import of_request
from activelog.webhooks import queries, routes
from activelog.webhooks.model import CreatedWebhook, Event, NewWebhook, WebhookQuery

_EVENTS = {
    "activity.created": "an activity is logged",
    "export.completed": "an export is ready",
    "report.ready": "a monthly report is ready",
}


async def page(request: Request, visitor: Visitor) -> Response:
    return await _page(request, visitor)


async def _page(request: Request, visitor: Visitor, made: CreatedWebhook | None = None) -> Response:
    async with of_request(request).pool.connection() as conn:
        webhooks = await queries.webhooks(conn, visitor.id)
        deliveries = await queries.deliveries(conn, visitor.id)
    return pages.page(
        request,
        "webhooks/webhooks.html",
        webhooks=webhooks,
        deliveries=deliveries,
        events=_EVENTS,
        made=made,
    )


async def create(request: Request, visitor: Visitor, form: Form) -> Response:
    """The page that shows the secret, once."""
    events = [one for one in get_args(Event) if one in form]
    wanted = http.convert({"url": form.get("url", ""), "events": events}, NewWebhook)
    return await _page(request, visitor, await routes.make(request, visitor.id, wanted))


async def remove(request: Request, visitor: Visitor, form: Form) -> Response:
    await routes.remove(request, visitor.id, http.convert(form, WebhookQuery))
    return pages.back(request, "/webhooks", "Removed.")


async def enable(request: Request, visitor: Visitor, form: Form) -> Response:
    await routes.enable(request, visitor.id, http.convert(form, WebhookQuery))
    return pages.back(request, "/webhooks", "In use again.")


async def replay(request: Request, visitor: Visitor, form: Form) -> Response:
    await routes.replay(request, visitor.id, http.convert(form, WebhookQuery))
    return pages.back(request, "/webhooks", "It is sent again.")


PAGES = [
    Page("GET", "/webhooks", page),
    Page("POST", "/webhooks", create),
    Page("POST", "/webhooks/remove", remove),
    Page("POST", "/webhooks/enable", enable),
    Page("POST", "/webhooks/replay", replay),
]
