"""Which mails one gets: by API, and by the one click in a mail."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from activelog import http, mail
from activelog.http import Endpoint, templating
from activelog.mail import LISTS
from activelog.mail.unsubscribe import read_token
from activelog.services import of_request

Wanted = Annotated[bool, Meta(description="whether mails of this kind are wanted")]


class Preferences(msgspec.Struct, forbid_unknown_fields=True):
    weekly_summary: Wanted
    weekly_idle: Annotated[bool, Meta(description="also after a week without activities")]
    monthly_report: Wanted
    friend_request: Wanted
    friend_activity: Wanted
    export_ready: Wanted


class PreferencesChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is absent stays as it is."""

    weekly_summary: Wanted | UnsetType = UNSET
    weekly_idle: Wanted | UnsetType = UNSET
    monthly_report: Wanted | UnsetType = UNSET
    friend_request: Wanted | UnsetType = UNSET
    friend_activity: Wanted | UnsetType = UNSET
    export_ready: Wanted | UnsetType = UNSET


async def show_preferences(request: Request, user_id: int) -> Response:
    """Which mails one gets."""
    async with of_request(request).pool.connection() as conn:
        return http.json(Preferences(**await mail.preferences(conn, user_id)))


async def change_preferences(request: Request, user_id: int, body: PreferencesChange) -> Response:
    """Changes the ones that are given."""
    async with of_request(request).pool.connection() as conn:
        await mail.set_preferences(conn, user_id, msgspec.to_builtins(body))
        return http.json(Preferences(**await mail.preferences(conn, user_id)))


async def unsubscribe_page(request: Request) -> Response:
    """What the link in a mail opens: a button, since mail scanners follow every link."""
    token = request.query_params.get("token", "")
    found = read_token(of_request(request).settings, token)
    if found is None:
        return templating.page("accounts/unsubscribe.html", status=404, state="invalid")
    return templating.page(
        "accounts/unsubscribe.html", state="ask", token=token, list=LISTS[found[1]]
    )


async def unsubscribe(request: Request) -> Response:
    """The button, and what mail programs POST for one click. No cookie, no login."""
    services = of_request(request)
    found = read_token(services.settings, request.query_params.get("token", ""))
    if found is None:
        return templating.page("accounts/unsubscribe.html", status=404, state="invalid")
    user_id, name = found
    async with services.pool.connection() as conn:
        if await mail.has_user(conn, user_id):  # else nothing is mailed there any more
            await mail.set_preferences(conn, user_id, {name: False})
    return templating.page("accounts/unsubscribe.html", state="done", list=LISTS[name])


ENDPOINTS = [
    Endpoint("GET", "/api/v1/users/me/mail-preferences", show_preferences, {200: Preferences}),
    Endpoint("PATCH", "/api/v1/users/me/mail-preferences", change_preferences, {200: Preferences}),
]
ROUTES = [
    Route("/unsubscribe", unsubscribe_page, methods=["GET"]),
    Route("/unsubscribe", unsubscribe, methods=["POST"]),
]
