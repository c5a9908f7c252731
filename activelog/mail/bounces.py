"""Mails that come back: what a report says, whose mail it is about, and what follows.

Each mail leaves with a return path of its own (VERP): `bounces+<id>-<signature>@…`. So a bounce
finds its mail also where it is plain text; a report that quotes the mail is known by its Message-ID
as well.
"""

import hmac
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import EmailPolicy
from email.utils import getaddresses
from hashlib import sha256
from typing import Any, cast

from activelog.base import auth
from activelog.base.settings import Settings
from activelog.database import Conn
from activelog.mail import queries
from activelog.mail.model import DEAD_MAILBOX, LISTS, Bounce, BounceKind
from activelog.mail.smtp import without_private_words

LARGEST = 10 * 1024 * 1024  # bytes of a report
_DEAD = ("5.1.0", *DEAD_MAILBOX)  # a relay that says 5.1.0 at once may mean the sender
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_CODE = re.compile(r"(?<!\d)(4[0-9]{2}|5[0-9]{2})(?=[ -])")
# In plain text, where no code says it: qmail, old Exim, Exchange, Lotus, in their words.
_NO_SUCH = re.compile(
    r"no such (?:user|mailbox|recipient|address|person)|user (?:unknown|not found|does ?n.t exist)"
    r"|unknown (?:user|recipient|address|local)|(?:address|recipient|mailbox|account)"
    r" (?:rejected: user unknown|not found|unknown|does not exist|unavailable|disabled|inactive)"
    r"|is not a (?:known|valid) (?:user|recipient)|unrouteable address|no mailbox here",
    re.IGNORECASE,
)
_FULL = re.compile(
    r"(?:mail)?box (?:is )?full|over (?:its |the )?quota|quota exceeded"
    r"|insufficient (?:system )?storage|storage allocation",
    re.IGNORECASE,
)
_POLICY = re.compile(
    r"spam|block(?:ed|list)|blacklist|policy|DMARC|SPF|reputation",
    re.IGNORECASE,
)
_LATER = re.compile(
    r"delayed|will (?:be )?retr|still being|temporar|not yet been delivered", re.IGNORECASE
)
_AWAY = re.compile(
    r"out of (?:the )?office|automatic reply|auto(?:matic)?.?reply|abwesen|vacation", re.IGNORECASE
)
_READ_HEADERS = ("to", "delivered-to", "x-original-to", "envelope-to")
_QUOTED = ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers")
_ID_LINE = re.compile(r"^message-id:\s*(<[^>\s]+>)", re.IGNORECASE | re.MULTILINE)
# The worst one counts where a report is about several.
_ORDER: tuple[BounceKind, ...] = ("complaint", "hard", "full", "refused", "soft", "reply")
_PURPOSE = "bounce"
_SAID_LENGTH = 300
_TEXT_LENGTH = 20_000


class _Lenient(EmailPolicy):
    """The library's parser fails on some headers that anybody can send: they stay as they are."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        try:
            return super().header_fetch_parse(name, value)
        except Exception:
            return "".join(value.splitlines())


def return_path(secret: str, bounces: str, mail_id: int) -> str:
    local, _, domain = bounces.rpartition("@")
    return f"{local}+{mail_id}-{_signature(secret, mail_id)}@{domain}"


def read(data: bytes, secret: str, bounces: str | None) -> Bounce:
    """Of a message as it lies in a mailbox."""
    message = cast(EmailMessage, message_from_bytes(data[:LARGEST], policy=_Lenient()))
    mail_id = _mail_id(message, secret, bounces) if bounces else None
    kind, said = _verdict(message)
    return Bounce(kind, without_private_words(said)[:_SAID_LENGTH], mail_id, _message_id(message))


def _verdict(message: EmailMessage) -> tuple[BounceKind, str]:
    for part in message.walk():
        if part.get_content_type() == "message/feedback-report":
            return _of_feedback(_fields(part))
    reports = [fields for part in message.walk()
               if part.get_content_type() == "message/delivery-status"
               for fields in _groups(part)]  # fmt: skip
    found = [
        _of_recipient(fields, message)
        for fields in reports
        if "status" in fields or "action" in fields
    ]
    if found:
        return min(found, key=lambda one: _ORDER.index(one[0]))
    return _of_text(message)


def _of_feedback(fields: dict[str, str]) -> tuple[BounceKind, str]:
    """RFC 5965. "Not spam" is no complaint."""
    kind = fields.get("feedback-type", "abuse").strip().lower()
    return ("reply" if kind == "not-spam" else "complaint"), f"complaint: {kind}"


def _of_recipient(fields: dict[str, str], message: EmailMessage) -> tuple[BounceKind, str]:
    """RFC 3464."""
    action = fields.get("action", "failed").strip().lower()
    status = _exact_status(fields.get("status", ""))
    said = fields.get("diagnostic-code", "").partition(";")[2].strip()
    if not said and status is None:  # Exim tells people alone what it found itself
        said = next(_telling_lines(_text(message)), "")
    # Of two statuses the one that the far end said is the exact one: `5.0.0` and `550 5.1.1 …`.
    status = _exact_status(said) or status
    said = said or fields.get("status", "")
    if action in ("delivered", "relayed", "expanded"):
        return "reply", said
    if action == "delayed":
        return "soft", said
    return _of_status(status, said), said


def _exact_status(text: str) -> tuple[str, str, str] | None:
    """`5.0.0` tells no more than that it failed."""
    return next((one for one in _STATUS.findall(text) if one[1:] != ("0", "0")), None)


def _of_status(status: tuple[str, str, str] | None, said: str) -> BounceKind:
    if status is None:
        return _of_words(said)
    full = ".".join(status)
    if status[1:] == ("2", "2"):
        return "full"
    if status[0] == "4":
        return "soft"
    if full in _DEAD:
        return "hard"
    if status[1] == "7":
        return "refused"
    return _of_words(said) if _NO_SUCH.search(said) else "soft"


def _of_words(text: str) -> BounceKind:
    if _FULL.search(text):
        return "full"
    if _NO_SUCH.search(text):
        return "hard"
    if _POLICY.search(text):
        return "refused"
    return "soft"


def _of_text(message: EmailMessage) -> tuple[BounceKind, str]:
    """A bounce in plain text, or no bounce at all."""
    text, subject = _text(message), str(message.get("subject", ""))
    automatic = str(message.get("auto-submitted", "no")).lower()
    is_from_a_machine = (
        str(message.get("return-path", "")).strip() in ("<>", "")
        and automatic != "auto-replied"
        and _looks_like_bounce(message, subject, text)
    )
    if not is_from_a_machine or _AWAY.search(subject):
        return "reply", ""
    said = next(_telling_lines(text), subject)
    status = _STATUS.search(said) or _STATUS.search(text)
    if _LATER.search(subject):
        return "soft", said
    parts = status.groups() if status else None
    return _of_status((parts[0], parts[1], parts[2]) if parts else None, said), said


def _looks_like_bounce(message: EmailMessage, subject: str, text: str) -> bool:
    sender = str(message.get("from", "")).lower()
    by_sender = "mailer-daemon" in sender or "postmaster" in sender
    words = r"undeliver|returned mail|failure notice|delivery (?:status|failure|problem|has failed)"
    by_subject = re.search(words + r"|unzustellbar|delayed", subject, re.IGNORECASE)
    return by_sender or by_subject is not None or bool(_CODE.search(text) and _NO_SUCH.search(text))


def _telling_lines(text: str) -> Iterator[str]:
    """Those that say why, the most exact one first."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for pattern in (_STATUS, _CODE, _NO_SUCH, _FULL, _POLICY):
        yield from (line for line in lines if pattern.search(line))


def _text(message: EmailMessage) -> str:
    body = message.get_body(("plain", "html"))
    try:
        content = body.get_content() if body is not None else ""
    except (LookupError, ValueError, KeyError):  # a character set that is none
        return ""
    return re.sub(r"<[^>]{1,200}>", " ", str(content))[:_TEXT_LENGTH]


def _groups(part: Message) -> Iterator[dict[str, str]]:
    """Of the report: one of the whole message, and one of each recipient."""
    payload = part.get_payload()
    for group in payload if isinstance(payload, list) else [part]:
        if isinstance(group, Message):
            yield {name.lower(): " ".join(str(value).split()) for name, value in group.items()}


def _fields(part: Message) -> dict[str, str]:
    found: dict[str, str] = {}
    for group in _groups(part):
        found |= group
    payload = part.get_payload()
    if isinstance(payload, str):
        for line in payload.splitlines():
            name, mark, value = line.partition(":")
            if mark:
                found.setdefault(name.strip().lower(), value.strip())
    return found


def _mail_id(message: EmailMessage, secret: str, bounces: str) -> int | None:
    local, _, domain = bounces.rpartition("@")
    pattern = re.compile(
        rf"{re.escape(local)}\+(\d{{1,18}})-(\w+)@{re.escape(domain)}", re.IGNORECASE
    )
    values = [str(value) for name in _READ_HEADERS for value in message.get_all(name, [])]
    for _, address in getaddresses(values):
        found = pattern.fullmatch(address)
        # (Relays may write an address in small letters.)
        if found and hmac.compare_digest(found[2].lower(), _signature(secret, int(found[1]))):
            return int(found[1])
    return None


def _signature(secret: str, mail_id: int) -> str:
    return sha256(auth.sign(secret, _PURPOSE, mail_id).encode()).hexdigest()[:12]


def _message_id(message: EmailMessage) -> str:
    """Of the mail that a report quotes."""
    for part in message.walk():
        if part.get_content_type() in _QUOTED:
            payload = part.get_payload()
            quoted = payload[0] if isinstance(payload, list) and payload else None
            if isinstance(quoted, Message):
                return str(quoted.get("message-id", "")).replace("\0", "").strip()
            if found := _ID_LINE.search(str(payload)):
                return found[1]
    return ""


async def take_bounce(conn: Conn, settings: Settings, data: bytes) -> str:
    """Keeps what a message says of a mail of ours: a mailbox that is dead gets no more mails, a
    complaint unsubscribes from that list. Says in words what it was; the same one twice changes
    nothing more."""
    found = read(data, settings.secret, settings.bounces)
    if found.kind == "reply":
        return "no bounce"
    bounced = await queries.note_bounce(conn, found)
    if bounced is None:
        return f"{found.kind}, of no mail of ours"
    if found.kind == "hard":
        await queries.suppress(conn, bounced.address, found.said)
    if found.kind == "complaint" and bounced.kind in LISTS:
        await queries.set_preferences(conn, bounced.user_id, {bounced.kind: False})
    return f"{found.kind}: mail {bounced.id} ({bounced.kind})"
