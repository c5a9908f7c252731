"""Mail addresses as they are kept: one spelling for each."""

import re

from activelog.base.errors import AppError

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_AMBIGUOUS = frozenset("ßẞς\u200c\u200d")
_LONGEST_DOMAIN = 253
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def clean_email(text: str) -> str:
    """The address as mail can be sent to it (an international domain in its ASCII form)."""
    local, at, domain = text.strip().rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or len(local) > 64:
        raise AppError.invalid("email", _why(local) if at else "must be like name@example.com")
    ascii_domain = ascii_form(domain)
    if ascii_domain is None:
        raise AppError.invalid("email", f"{domain[:80]!r} is not the name of a mail domain")
    return f"{local}@{ascii_domain}"


def ascii_form(domain: str) -> str | None:
    """Of a domain's name; None for what is none. Names with letters for which the standard library
    (of 2003) gives another domain than registries do (since 2008) count as none."""
    if not _AMBIGUOUS.isdisjoint(domain):
        return None
    try:
        name = domain.encode("idna").decode().lower()
    except UnicodeError:
        return None
    labels = name.split(".")
    is_name = len(labels) >= 2 and all(_LABEL.fullmatch(label) for label in labels)
    return name if is_name and len(name) <= _LONGEST_DOMAIN else None


def _why(local: str) -> str:
    if not local.isascii():
        return "letters outside ASCII before the @ cannot be mailed to yet"
    return "must be like name@example.com"


def findable(text: str) -> str:
    """As it is kept and counted, however it was typed. What is no address becomes something that
    nobody has: it is looked for like any other, so that nobody learns the difference."""
    try:
        return clean_email(text)
    except AppError:
        return f"none {text.strip().lower()}"


def mailbox(email: str) -> str:
    """What is counted of an address: `+tags` lead to the same mailbox, and at Gmail points do."""
    local, _, domain = email.lower().rpartition("@")
    local = local.partition("+")[0] or local
    if domain in ("gmail.com", "googlemail.com"):
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"
