"""Register, verify, sign in and out; and one's account: mails, everything as a ZIP, deletion."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from activelog import http, mail
from activelog.accounts import changes, queries, quotas, routes, tokens
from activelog.accounts.model import (
    ChangeAddress,
    ChangePassword,
    ChangeProfile,
    ForgotPassword,
    Register,
    ResetPassword,
    SignIn,
    VerifyQuery,
)
from activelog.base.errors import AppError
from activelog.base.settings import Folder
from activelog.base.zones import all_zones, known_zone
from activelog.http import pages
from activelog.http.pages import Form, Page, Visitor
from activelog.mail import LANGUAGES, LISTS
from activelog.services import of_request

_THINGS: dict[quotas.Thing, str] = {
    "activities": "Activities",
    "photo_bytes": "Photos",
    "export_bytes": "Exports that are kept",
    "imports_today": "Files imported within a day",
}
_SCOPES = ("read", "write", "export", "admin")
_LOOPBACK = ("127.0.0.1", "::/64", "local")


async def home(request: Request) -> Response:
    signed_in = await pages.visitor_of(request) is not None
    return RedirectResponse("/activities" if signed_in else "/sign-in", 302)


async def register_form(request: Request) -> Response:
    return pages.page(request, "accounts/register.html")


async def register(request: Request, form: Form) -> Response:
    form["zone"] = known_zone(form.get("zone", ""))
    pending, email, token = await routes.start(request, http.convert(form, Register))
    shown = token if _has_no_mailbox(request) and pending.owner_id is None else None
    registration, _ = routes.registration_token(of_request(request), pending)
    return pages.page(
        request,
        "accounts/registered.html",
        email=email,
        token=shown,
        registration=registration,
        state="queued",
    )


async def registered(request: Request, form: Form) -> Response:
    """What became of the mail."""
    token = form.get("registration", "")
    try:
        found = await routes.find_registration(of_request(request), token)
    except AppError as error:  # the address is verified, or the registration is too old
        return pages.back(request, "/sign-in", f"{error}.".capitalize())
    return pages.page(
        request,
        "accounts/registered.html",
        email=found.email,
        registration=token,
        state=found.mail,
        is_asked=True,
    )


def _has_no_mailbox(request: Request) -> bool:
    """On one's own machine, without a relay, mails go into a folder that no mailbox shows."""
    settings = of_request(request).settings
    is_here = urlsplit(settings.base_url).hostname in ("127.0.0.1", "localhost", "::1")
    return is_here and isinstance(settings.mail, Folder) and http.client_host(request) in _LOOPBACK


async def sign_in_form(request: Request) -> Response:
    wanted = pages.local_path(request.query_params.get("next", "/activities"))
    is_new = "next" not in request.query_params and _has_no_mailbox(request)
    return pages.page(request, "accounts/sign_in.html", next=wanted, is_new=is_new)


async def sign_in(request: Request, form: Form) -> Response:
    wanted = pages.local_path(form.pop("next", "/activities"))
    pages.name_device(request)
    token, _ = await routes.authenticate(request, http.convert(form, SignIn))
    return pages.sign_in(request, token, wanted)


async def forgot_form(request: Request) -> Response:
    return pages.page(request, "accounts/forgot_password.html")


async def forgot(request: Request, form: Form) -> Response:
    await routes.forgot_password(request, http.convert(form, ForgotPassword))
    return pages.page(request, "accounts/forgot_password.html", form=form, sent=True)


async def reset_form(request: Request) -> Response:
    return pages.page(
        request, "accounts/reset_password.html", token=request.query_params.get("token", "")
    )


async def reset(request: Request, form: Form) -> Response:
    await routes.reset_password(request, http.convert(form, ResetPassword))
    return pages.page(request, "accounts/reset_password.html", done=True)


async def sign_out(request: Request) -> Response:
    """Also of a session that is over: its cookie goes."""
    session = await http.cookie_session(request)
    if session is not None:
        await http.end_session(of_request(request), session)
    return pages.sign_out(request)


async def verify_form(request: Request) -> Response:
    """What the link in the mail opens: a button, since mail scanners follow every link."""
    token = request.query_params.get("token", "")
    return pages.page(request, "accounts/verify.html", token=token, state="ask")


async def verify(request: Request, form: Form) -> Response:
    try:
        wanted = http.convert(form, ResetPassword)
        await routes.verify(of_request(request), wanted.token, wanted.password)
    except AppError as error:
        if "password" in error.details:
            raise
        return pages.page(request, "accounts/verify.html", status=error.status, state="invalid")
    return pages.page(request, "accounts/verify.html", state="verified")


async def account(request: Request, visitor: Visitor) -> Response:
    return await _account(request, visitor)


async def _account(
    request: Request, visitor: Visitor, made: tokens.CreatedToken | None = None
) -> Response:
    async with of_request(request).pool.connection() as conn:
        profile = routes.require_profile(await queries.profile(conn, visitor.id))
        wanted = await mail.preferences(conn, visitor.id)
        sessions = await routes.find_sessions(conn, request.state.session)
        used = await quotas.usage(conn, visitor.id)
        api_tokens = await http.api_tokens(conn, visitor.id)
    limits = of_request(request).settings.quotas
    return pages.page(
        request,
        "accounts/account.html",
        profile=profile,
        zones=all_zones(),
        languages=LANGUAGES,
        lists=LISTS,
        wanted=wanted,
        sessions=sessions,
        api_tokens=api_tokens,
        made=made,
        usage=[
            (_THINGS[thing], quotas.shown(thing, count), quotas.shown(thing, limits.of(thing)))
            for thing, count in used.items()
        ],
    )


async def change(request: Request, visitor: Visitor, form: Form) -> Response:
    await routes.change(request, visitor.id, http.convert(form, ChangeProfile))
    return pages.back(request, "/account", "Saved.")


async def change_password(request: Request, visitor: Visitor, form: Form) -> Response:
    wanted = http.convert(form, ChangePassword)
    await changes.change_password(request, visitor.id, wanted)
    pages.name_device(request)
    token, _ = await routes.authenticate(request, SignIn(visitor.email, wanted.password))
    return pages.sign_in(request, token, "/account")


async def change_address(request: Request, visitor: Visitor, form: Form) -> Response:
    await changes.change_address(request, visitor.id, http.convert(form, ChangeAddress))
    return pages.back(request, "/account", "A link is on its way to the new address.")


async def confirm_form(request: Request) -> Response:
    """A button, since mail scanners follow every link."""
    token = request.query_params.get("token", "")
    return pages.page(request, "accounts/confirm_email.html", token=token)


async def confirm(request: Request, form: Form) -> Response:
    wanted = http.convert(form, VerifyQuery)
    await changes.confirm_address(of_request(request), wanted.token)
    return pages.page(request, "accounts/confirm_email.html", done=True)


async def end_session(request: Request, visitor: Visitor, session_id: int) -> Response:
    await routes.end_session(request, visitor.id, session_id)
    return pages.back(request, "/account", "Signed out there.")


async def sign_out_everywhere(request: Request, visitor: Visitor) -> Response:
    await routes.sign_out_everywhere(request, visitor.id)
    return pages.sign_out(request)


async def make_token(request: Request, visitor: Visitor, form: Form) -> Response:
    """The page that shows the token, once."""
    fields = {"name": form.get("name", ""), "scopes": [one for one in _SCOPES if one in form]}
    days = {"days": form["days"]} if form.get("days") else {}
    made = await tokens.make(request, visitor.id, http.convert(fields | days, tokens.NewToken))
    return await _account(request, visitor, made)


async def revoke_token(request: Request, visitor: Visitor, form: Form) -> Response:
    await tokens.revoke(request, visitor.id, http.convert(form, tokens.TokenQuery))
    return pages.back(request, "/account", "The token works no more.")


async def change_mails(request: Request, visitor: Visitor, form: Form) -> Response:
    async with of_request(request).pool.connection() as conn:
        await mail.set_preferences(conn, visitor.id, {name: name in form for name in LISTS})
    return pages.back(request, "/account", "Saved. These are the mails that you get.")


async def delete(request: Request, visitor: Visitor, form: Form) -> Response:
    if form.get("sure") != visitor.email:
        raise AppError.invalid("sure", "type your address to show that you mean it")
    await routes.delete(request, visitor.id)
    return pages.back(request, "/account", "Your account will be deleted in 30 days.")


async def restore(request: Request, visitor: Visitor) -> Response:
    await routes.restore(request, visitor.id)
    return pages.back(request, "/account", "Good that you stay. Nothing will be deleted.")


PAGES = [
    Page("GET", "/", home, needs="nobody"),
    Page("GET", "/register", register_form, needs="nobody"),
    Page("POST", "/register", register, needs="nobody"),
    Page("POST", "/registered", registered, needs="nobody"),
    Page("GET", "/sign-in", sign_in_form, needs="nobody"),
    Page("POST", "/sign-in", sign_in, needs="nobody"),
    Page("POST", "/sign-out", sign_out, needs="nobody"),
    Page("GET", "/forgot-password", forgot_form, needs="nobody"),
    Page("POST", "/forgot-password", forgot, needs="nobody"),
    Page("GET", "/reset-password", reset_form, needs="nobody"),
    Page("POST", "/reset-password", reset, needs="nobody"),
    Page("GET", "/verify-email", verify_form, needs="nobody"),
    Page("POST", "/verify-email", verify, needs="nobody"),
    Page("GET", "/account", account),
    Page("GET", "/confirm-email", confirm_form, needs="nobody"),
    Page("POST", "/confirm-email", confirm, needs="nobody"),
    Page("POST", "/account", change),
    Page("POST", "/account/password", change_password),
    Page("POST", "/account/email", change_address),
    Page("POST", "/account/mails", change_mails),
    Page("POST", "/account/sessions/end", sign_out_everywhere),
    Page("POST", "/account/sessions/{session_id}/end", end_session),
    Page("POST", "/account/tokens", make_token),
    Page("POST", "/account/tokens/revoke", revoke_token),
    Page("POST", "/account/delete", delete),
    Page("POST", "/account/restore", restore),
]
