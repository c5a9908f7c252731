"""The mails of an account: when they are written, and what they tell."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

from activelog import http
from activelog.accounts import queries
from activelog.base import auth
from activelog.database import Conn
from activelog.http.programs import program, roughly
from activelog.mail import Claim, Content, MailKind
from activelog.services import Services


def verification_token(services: Services, verification_id: UUID) -> str:
    """Derived from our secret, so that the mail can be written from an id alone and a copy of
    the database verifies nobody."""
    return auth.sign(services.settings.secret, "verify-email", verification_id)


def reset_token(services: Services, reset_id: UUID) -> str:
    """The token of a link to a new password, derived like verification_token."""
    return auth.sign(services.settings.secret, "reset-password", reset_id)


def address_token(services: Services, change_id: UUID) -> str:
    """The token of a link to another address, derived like verification_token."""
    return auth.sign(services.settings.secret, "confirm-email", change_id)


def _link(
    is_open: Callable[[Conn, UUID], Awaitable[bool]], token: Callable[[Services, UUID], str]
) -> Callable[[Services, Claim], Awaitable[Content]]:
    """The content of a mail with a link; one that was used or is too old is not mailed."""

    async def content(services: Services, claim: Claim) -> Content:
        link_id = UUID(claim.dedup_key)
        async with services.pool.connection() as conn:
            opens = await is_open(conn, link_id)
        return {"token": token(services, link_id)} if opens else None

    return content


async def _reset(services: Services, claim: Claim) -> Content:
    reset_id = UUID(claim.dedup_key)
    async with services.pool.connection() as conn:
        found = await queries.open_reset(conn, reset_id)
    if found is None:
        return None
    place = found.asked_from or "an unknown place"
    return {"token": reset_token(services, reset_id), "at": found.at, "place": place}


async def _sign_in(services: Services, claim: Claim) -> Content:
    at = datetime.fromisoformat(claim.dedup_key)
    async with services.pool.connection() as conn:
        sessions = await http.open_sessions(conn, claim.user_id)
    found = next((one for one in sessions if one.started_at == at), None)
    if found is None:  # it is over
        return None
    return {"at": at, "program": program(found.agent), "place": roughly(found.host)}


async def _at(services: Services, claim: Claim) -> Content:
    return {"at": datetime.fromisoformat(claim.dedup_key)}


_LINK = {"token": "x" * 43}
_MOMENT = {"at": datetime(2024, 1, 22, 14, 30, tzinfo=UTC)}

_REGISTERED = "because this address was registered at ActiveLog"
WELCOME = MailKind(
    "welcome",
    "activelog.accounts.welcome",
    "critical",
    reason=_REGISTERED,
)
VERIFICATION = MailKind(
    "verification",
    "activelog.accounts.verification",
    "critical",
    key="verification_id",
    content=_link(queries.verification_is_open, verification_token),
    fixture=_LINK,
    cap=20,
    reason=_REGISTERED,
)
# Sent by the task of the verification that it stands in for; the key is a day.
ALREADY_REGISTERED = MailKind(
    "already_registered",
    VERIFICATION.task,
    VERIFICATION.queue,
    reason=_REGISTERED,
)
PASSWORD_RESET = MailKind(
    "password_reset",
    "activelog.accounts.password_reset",
    "critical",
    key="reset_id",
    content=_reset,
    fixture=_LINK | _MOMENT | {"place": "the address 203.0.113.x"},
    cap=20,
    reason="because somebody asked for a new password for your account",
)
PASSWORD_CHANGED = MailKind(
    "password_changed",
    "activelog.accounts.password_changed",
    "critical",
    key="dedup_key",
    content=_at,
    fixture=_MOMENT,
    cap=20,
    reason="because how you sign in changes",
)
ADDRESS_CHANGE = MailKind(  # to the new address
    "address_change",
    "activelog.accounts.address_change",
    "critical",
    key="change_id",
    content=_link(queries.address_change_is_open, address_token),
    fixture=_LINK,
    cap=20,
    reason="because how you sign in changes",
)
ADDRESS_CHANGED = MailKind(  # to the old one
    "address_changed",
    "activelog.accounts.address_changed",
    "critical",
    key="dedup_key",
    content=_at,
    fixture=_MOMENT,
    cap=20,
    reason="because how you sign in changes",
)
DELETION = MailKind(
    "account_deletion",
    "activelog.accounts.deletion",
    "critical",
    key="dedup_key",
    content=_at,
    fixture=_MOMENT,
    cap=10,
    reason="because your account is to be deleted",
)

NEW_SIGN_IN = MailKind(
    "new_sign_in",
    "activelog.accounts.new_sign_in",
    "critical",
    key="dedup_key",
    content=_sign_in,
    fixture=_MOMENT | {"program": "Firefox on Windows", "place": "the address 203.0.113.x"},
    cap=5,
    reason="because a new device signed in to your account",
)

MAILS = (
    WELCOME,
    VERIFICATION,
    ALREADY_REGISTERED,
    PASSWORD_RESET,
    PASSWORD_CHANGED,
    ADDRESS_CHANGE,
    ADDRESS_CHANGED,
    DELETION,
    NEW_SIGN_IN,
)


async def write_verification(services: Services, conn: Conn, user_id: int) -> str:
    """The token that the mail's link has."""
    verification_id = uuid4()
    token = verification_token(services, verification_id)
    await queries.add_verification(conn, verification_id, user_id, auth.hash_token(token))
    await services.outbox.write(conn, VERIFICATION, user_id, str(verification_id))
    return token


async def request_reset(services: Services, conn: Conn, email: str, host: str) -> None:
    """Of an address that may have no account: whoever asks learns nothing of that."""
    reset_id = uuid4()
    token_hash = auth.hash_token(reset_token(services, reset_id))
    await queries.request_reset(conn, PASSWORD_RESET, reset_id, email, token_hash, roughly(host))
