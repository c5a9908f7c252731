"""A message as the bytes that leave.

Written by hand, since the standard library's EmailMessage takes a millisecond for it (three times
as long as sending it) and encodes a long List-Unsubscribe header so that one-click breaks. What
is hard about it, non-ASCII headers and quoted-printable bodies, still is the library's.
"""

from binascii import b2a_qp
from collections.abc import Mapping
from dataclasses import dataclass
from email.header import Header
from email.utils import formatdate, make_msgid, parseaddr
from functools import cache
from hashlib import sha256

from activelog.base.errors import Permanent

_SPECIALS = frozenset('()<>@,:;".[]\\')
_LINE_ENDS = frozenset("\r\n\0")
_LONGEST_ASCII = 900  # bytes of a line; 998 are allowed


@dataclass(frozen=True)
class Recipient:
    name: str
    email: str


@dataclass(frozen=True)
class Message:
    """`data` is all of it, with CRLF; `sender` and `to` are bare addresses, the envelope's."""

    message_id: str
    sender: str
    to: str
    data: bytes


def make_message_id(mail_from: str) -> str:
    return make_msgid(domain=domain_of(mail_from))


@cache
def domain_of(mail_from: str) -> str:
    return parseaddr(mail_from)[1].rpartition("@")[2]


_sender = cache(parseaddr)


def compose(
    mail_from: str,
    recipient: Recipient,
    message_id: str,
    content: tuple[str, str, str],
    headers: Mapping[str, str] | None = None,
    return_path: str | None = None,
) -> Message:
    """multipart/alternative of a subject, a text and HTML. The Message-ID is the caller's, so that
    a retry repeats it; bounces go to `return_path`, or to the sender. `headers` are ASCII and go
    out as they are. Raises Permanent for what could end a header early."""
    subject, text, html = content
    name, sender = _sender(mail_from)
    boundary = f"=_{sha256(message_id.encode()).hexdigest()[:24]}"
    lines = {
        "From": _address(name, sender),
        "To": _address(recipient.name, recipient.email),
        "Subject": _encoded(subject, "Subject: "),
        "Message-ID": message_id,
        "Date": formatdate(usegmt=True),
        "Auto-Submitted": "auto-generated",
        **(headers or {}),
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/alternative; boundary="{boundary}"',
    }
    for key, value in lines.items():
        if _is_unsafe(value):
            raise Permanent(f"the header {key} would hold a line break")
    head = "".join(f"{key}: {value}\r\n" for key, value in lines.items()).encode("ascii")
    mark = f"--{boundary}".encode()
    # (Letters outside ASCII as entities, so that nearly all HTML needs no encoding.)
    ascii_html = html.encode("ascii", "xmlcharrefreplace").decode()
    parts = [_part("plain", text), _part("html", ascii_html)]
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts)
    return Message(
        message_id,
        return_path or sender,
        recipient.email,
        head + b"\r\n" + body + mark + b"--\r\n",
    )


def _part(subtype: str, text: str) -> bytes:
    text = text.replace("\r\n", "\n")
    body = text.replace("\n", "\r\n").encode()
    encoding = "7bit"
    if not _is_plain(text):  # encoding takes as long as all the rest, and most mails need none
        encoding, body = "quoted-printable", b2a_qp(body, istext=True)
    head = (
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    return head.encode() + body


def _is_plain(text: str) -> bool:
    if not text.isascii() or "\r" in text or "\0" in text:
        return False
    return max(map(len, text.split("\n"))) <= _LONGEST_ASCII


def _address(name: str, address: str) -> str:
    if not address.isascii():
        raise Permanent("an address with letters outside ASCII cannot be mailed to yet")
    if not name:
        return address
    if not _needs_no_encoding(name):
        return f"{_encoded(name, 'From: ')} <{address}>"
    if _SPECIALS.isdisjoint(name):
        return f"{name} <{address}>"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>'


def _encoded(text: str, header: str) -> str:
    """RFC 2047 where it is needed, folded."""
    if _needs_no_encoding(text):
        return text
    return Header(text, "utf-8", header_name=header).encode(linesep="\r\n")


def _needs_no_encoding(text: str) -> bool:
    """What looks encoded already would be decoded by who reads it."""
    return text.isascii() and len(text) <= _LONGEST_ASCII and "=?" not in text


def _is_unsafe(value: str) -> bool:
    return not _LINE_ENDS.isdisjoint(value.replace("\r\n ", " "))
