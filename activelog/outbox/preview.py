"""Every mail with made-up content, for admins: `/dev/mails`. And what lies in the folder of a
development set-up."""

import email
import email.policy
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from activelog import mail, pages, site
from activelog.errors import AppError
from activelog.mail import Message, Recipient
from activelog.outbox.links import unsubscribe_headers
from activelog.outbox.model import LISTS
from activelog.services import Services, of_request
from activelog.settings import Folder
from activelog.site import Page, Visitor

_DAYS = (("Mon", 45), ("Tue", 0), ("Wed", 62), ("Thu", 30), ("Fri", 0), ("Sat", 95), ("Sun", 20))
_URL = "https://activelog.example/link?token=" + "x" * 43
_DARK = "@media (prefers-color-scheme: dark)"
_NEWEST = 30  # files of the folder


def fixtures() -> dict[str, dict[str, Any]]:
    """What each kind of mail is shown with."""
    expires = datetime(2024, 1, 22, 14, 30, tzinfo=UTC)
    return {
        "welcome": {},
        "verification": {"token": "x" * 43},
        "already_registered": {},
        "password_reset": {"token": "x" * 43},
        "friend_request": {"names": ["Grace Hopper", "שרה כהן", "陈小姐"], "total": 25},
        "friend_activity": {
            "total": 3,
            "activities": [
                _activity("Grace Hopper", "running", 45, 7.5),
                _activity("Alan Turing", "marathon", 166, 42.195),
                _activity("陈小姐", "瑜伽", 60, 0.0),
            ],
        },
        "weekly_summary": _week(),
        "export_ready": {
            "format": "CSV",
            "records": 1280,
            "size": 84_120,
            "url": _URL,
            "expires_at": expires,
        },
        "export_failed": {"format": "PDF", "reason": "failed to generate export: the disk is full"},
        "monthly_report": {"month": "January 2024", "size": 48_213, "url": _URL},
        "account_deletion": {"at": expires},
    }


async def overview(request: Request, visitor: Visitor) -> Response:
    services = of_request(request)
    shown = [_preview(services, kind, data) for kind, data in fixtures().items()]
    look = "dark" if request.query_params.get("look") == "dark" else "light"
    return site.page(request, "mails.html", mails=shown, folder=_folder(services), look=look)


async def show(request: Request, visitor: Visitor, kind: str) -> Response:
    found = fixtures()
    if kind not in found:
        raise AppError.not_found("mail")
    html = _content(of_request(request), kind, found[kind])[2]
    return pages.mail(_in_look(html, request.query_params.get("look")))


def _in_look(html: str, look: str | None) -> str:
    """As on a device that likes it light or dark, whatever this one likes."""
    media = {"dark": "@media all", "light": "@media not all"}.get(look or "", _DARK)
    return html.replace(_DARK, media)


def _preview(services: Services, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    content = _content(services, kind, data)
    message = _message(services, kind, content)
    head, _, _ = message.data.partition(b"\r\n\r\n")
    return {
        "kind": kind,
        "subject": content[0],
        "text": content[1],
        "size": len(message.data),
        "headers": head.decode(),
    }


def _content(services: Services, kind: str, data: dict[str, Any]) -> tuple[str, str, str]:
    shared = {"name": "Ada Lovelace", "unsubscribe_url": _url(kind)}
    return services.templates.render(kind, shared | data)


def _message(services: Services, kind: str, content: tuple[str, str, str]) -> Message:
    recipient = Recipient("Ada Lovelace", "ada@example.com")
    mail_from, headers = services.settings.mail_from, unsubscribe_headers(_url(kind))
    return mail.compose(mail_from, recipient, "<preview@localhost>", content, headers)


def _url(kind: str) -> str:
    """For unsubscribing; empty for a kind that nobody can do without."""
    return _URL if kind in LISTS else ""


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


def _activity(name: str, kind: str, minutes: int, kilometres: float) -> SimpleNamespace:
    return SimpleNamespace(
        name=name, activity_type=kind, duration_minutes=minutes, distance_km=kilometres
    )


def _week() -> dict[str, Any]:
    types = [
        SimpleNamespace(activity_type="running", activities=3, minutes=170, kilometres=28.4),
        SimpleNamespace(activity_type="yoga", activities=2, minutes=82, kilometres=0.0),
    ]
    totals = SimpleNamespace(activities=5, minutes=252, kilometres=28.4, calories=2110)
    span = SimpleNamespace(name="8 January 2024 – 14 January 2024", first=date(2024, 1, 8))
    return {
        "week": SimpleNamespace(totals=totals, span=span, types=types),
        "bars": [
            {"label": label, "minutes": minutes, "height": round(88 * minutes / 95)}
            for label, minutes in _DAYS
        ],
        "changes": {
            "activities": "+25 % on last week",
            "minutes": "+12 % on last week",
            "kilometres": "−8 % on last week",
            "calories": "as last week",
        },
    }


PAGES = [
    Page("GET", "/dev/mails", overview, needs="admin"),
    Page("GET", "/dev/mails/{kind}", show, needs="admin"),
]
