"""Every mail with made-up content, for admins: `/dev/mails`. And what lies in the folder of a
development set-up."""

import email
import email.policy
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from activelog import mail
from activelog.base.errors import AppError
from activelog.base.settings import Folder
from activelog.http import pages, templating
from activelog.http.pages import Page, Visitor
from activelog.mail import LanguageCode, MailKind, Recipient
from activelog.mail.unsubscribe import unsubscribe_headers
from activelog.services import Services, of_request

_URL = "https://activelog.example/link?token=" + "x" * 43
_DARK = "@media (prefers-color-scheme: dark)"
_NEWEST = 30  # files of the folder


async def overview(request: Request, visitor: Visitor) -> Response:
    services, language = of_request(request), _language(request)
    return pages.page(
        request,
        "operations/mail_preview.html",
        mails=[_preview(services, kind, language) for kind in _kinds(request)],
        folder=_folder(services),
        look="dark" if request.query_params.get("look") == "dark" else "light",
        language=language,
        languages=mail.LANGUAGES,
    )


async def show(request: Request, visitor: Visitor, kind: str) -> Response:
    for found in _kinds(request):
        if found.name == kind:
            html = _texts(of_request(request), found, _language(request))[2]
            return templating.mail(_in_look(html, request.query_params.get("look")))
    raise AppError.not_found("mail")


def _language(request: Request) -> LanguageCode:
    return mail.guess(request.query_params.get("language", ""))


def _texts(services: Services, kind: MailKind, language: LanguageCode) -> tuple[str, str, str]:
    """Subject, text and HTML of a mail with its made-up content."""
    shared = {"name": "Ada Lovelace", "reason": kind.reason, "unsubscribe_url": _url(kind)}
    templates = services.outbox.templates
    return templates.render(kind.name, shared | dict(kind.fixture), language)


def _kinds(request: Request) -> Iterable[MailKind]:
    """Of all features."""
    kinds: Iterable[MailKind] = request.app.state.mails
    return kinds


def _in_look(html: str, look: str | None) -> str:
    """As on a device that likes it light or dark, whatever this one likes."""
    media = {"dark": "@media all", "light": "@media not all"}.get(look or "", _DARK)
    return html.replace(_DARK, media)


def _preview(services: Services, kind: MailKind, language: LanguageCode) -> dict[str, Any]:
    subject, text, html = _texts(services, kind, language)
    recipient = Recipient("Ada Lovelace", "ada@example.com")
    headers = unsubscribe_headers(_url(kind))
    message = mail.compose(
        services.settings.mail_from,
        recipient,
        "<preview@localhost>",
        (subject, text, html),
        headers,
    )
    head, _, _ = message.data.partition(b"\r\n\r\n")
    return {
        "kind": kind.name,
        "subject": subject,
        "text": text,
        "size": len(message.data),
        "headers": head.decode(),
    }


def _url(kind: MailKind) -> str:
    """For unsubscribing; empty for a kind that nobody can do without."""
    return _URL if kind.list else ""


def _folder(services: Services) -> list[dict[str, Any]]:
    """The newest files of a folder that takes the place of a relay."""
    if not isinstance(services.settings.mail, Folder):
        return []
    files = sorted(services.settings.mail.path.glob("*.eml"), key=_modified, reverse=True)
    return [_read(path) for path in files[:_NEWEST]]


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def _read(path: Path) -> dict[str, Any]:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    text = message.get_body(("plain",))
    return {
        "to": str(message["To"]),
        "subject": str(message["Subject"]),
        "text": text.get_content() if text else "",
        "at": datetime.fromtimestamp(_modified(path), UTC),
    }


PAGES = [
    Page("GET", "/dev/mails", overview, needs="admin"),
    Page("GET", "/dev/mails/{kind}", show, needs="admin"),
]
