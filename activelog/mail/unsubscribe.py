"""One-click unsubscribing (RFC 8058): a link that needs no login and no cookie."""

from activelog.base import auth
from activelog.base.settings import Settings
from activelog.mail.model import LISTS, MailKind

_PURPOSE = "unsubscribe"


def unsubscribe_url(settings: Settings, user_id: int, kind: MailKind) -> str:
    """Empty for a kind that nobody can do without."""
    if kind.list is None:
        return ""
    signature = auth.sign(settings.secret, _PURPOSE, user_id, kind.list)
    return f"{settings.base_url}/unsubscribe?token={user_id}.{kind.list}.{signature}"


def list_headers(kind: MailKind, domain: str) -> dict[str, str]:
    """By which mailboxes sort, and tell complaints about one kind from those about another."""
    headers = {"Feedback-ID": f"{kind.name}:activelog"}
    if kind.list is None:
        return headers
    return headers | {"List-Id": f"<{kind.list}.{domain}>", "Precedence": "bulk"}


def unsubscribe_headers(url: str) -> dict[str, str]:
    if not url:
        return {}
    return {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def read_token(settings: Settings, token: str) -> tuple[int, str] | None:
    """(user id, list), or None for a token that is not one of ours."""
    user_id, _, rest = token.partition(".")
    name, _, signature = rest.partition(".")
    if not user_id.isdecimal() or len(user_id) > 18 or name not in LISTS:
        return None
    genuine = auth.check_signature(signature, settings.secret, _PURPOSE, int(user_id), name)
    return (int(user_id), name) if genuine else None
