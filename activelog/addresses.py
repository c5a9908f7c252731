"""Mail addresses as they are kept: one spelling for each."""

import re

from activelog.errors import AppError

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def clean_email(text: str) -> str:
    """The address as mail can be sent to it (an international domain in its ASCII form)."""
    local, at, domain = text.strip().rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or len(local) > 64:
        raise AppError.invalid("email", _why(local) if at else "must be like name@example.com")
    try:
        ascii_domain = domain.encode("idna").decode().lower()
    except UnicodeError:
        ascii_domain = ""
    labels = ascii_domain.split(".")
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise AppError.invalid("email", f"{domain[:80]!r} is not the name of a mail domain")
    return f"{local}@{ascii_domain}"


def _why(local: str) -> str:
    if not local.isascii():
        return "letters outside ASCII before the @ cannot be mailed to yet"
    return "must be like name@example.com"


def findable(text: str) -> str:
    """As it is kept and counted, however it was typed; "none", which nobody has, for what is no
    address: it is looked for like any other, so that nobody learns the difference."""
    try:
        return clean_email(text)
    except AppError:
        return "none"
