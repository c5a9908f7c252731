"""The mails of an account: when they are written, and what they tell."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from activelog.accounts import queries
from activelog.base import auth
from activelog.database import Conn
from activelog.mail import Claim, Content, MailKind
from activelog.services import Services


async def _verification(services: Services, claim: Claim) -> Content:
    """A link that was used or is too old is not mailed."""
    verification_id = UUID(claim.dedup_key)
    async with services.pool.connection() as conn:
        is_open = await queries.verification_is_open(conn, verification_id)
    return {"token": verification_token(services, verification_id)} if is_open else None


async def _password_reset(services: Services, claim: Claim) -> Content:
    """Likewise."""
    reset_id = UUID(claim.dedup_key)
    async with services.pool.connection() as conn:
        is_open = await queries.reset_is_open(conn, reset_id)
    return {"token": reset_token(services, reset_id)} if is_open else None


async def _address_change(services: Services, claim: Claim) -> Content:
    """Likewise."""
    change_id = UUID(claim.dedup_key)
    async with services.pool.connection() as conn:
        is_open = await queries.address_change_is_open(conn, change_id)
    return {"token": address_token(services, change_id)} if is_open else None


async def _at(services: Services, claim: Claim) -> Content:
    return {"at": datetime.fromisoformat(claim.dedup_key)}


WELCOME = MailKind("welcome", "activelog.accounts.welcome", "critical")
VERIFICATION = MailKind(
    "verification",
    "activelog.accounts.verification",
    "critical",
    key="verification_id",
    content=_verification,
    fixture={"token": "x" * 43},
    cap=20,
)
# Sent by the task of the verification that it stands in for; the key is a day.
ALREADY_REGISTERED = MailKind("already_registered", VERIFICATION.task, VERIFICATION.queue)
PASSWORD_RESET = MailKind(
    "password_reset",
    "activelog.accounts.password_reset",
    "critical",
    key="reset_id",
    content=_password_reset,
    fixture={"token": "x" * 43},
    cap=20,
)
PASSWORD_CHANGED = MailKind(
    "password_changed",
    "activelog.accounts.password_changed",
    "critical",
    key="dedup_key",
    content=_at,
    fixture={"at": datetime(2024, 1, 22, 14, 30, tzinfo=UTC)},
    cap=20,
)
ADDRESS_CHANGE = MailKind(  # to the new address
    "address_change",
    "activelog.accounts.address_change",
    "critical",
    key="change_id",
    content=_address_change,
    fixture={"token": "x" * 43},
    cap=20,
)
ADDRESS_CHANGED = MailKind(  # to the old one
    "address_changed",
    "activelog.accounts.address_changed",
    "critical",
    key="dedup_key",
    content=_at,
    fixture={"at": datetime(2024, 1, 22, 14, 30, tzinfo=UTC)},
    cap=20,
)
DELETION = MailKind(
    "account_deletion",
    "activelog.accounts.deletion",
    "critical",
    key="dedup_key",
    content=_at,
    fixture={"at": datetime(2024, 1, 22, 14, 30, tzinfo=UTC)},
    cap=10,
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
)


async def write_verification(services: Services, conn: Conn, user_id: int) -> str:
    """The token that the mail's link has."""
    verification_id = uuid4()
    token = verification_token(services, verification_id)
    await queries.add_verification(conn, verification_id, user_id, auth.hash_token(token))
    await services.outbox.write(conn, VERIFICATION, user_id, str(verification_id))
    return token


async def request_reset(services: Services, conn: Conn, email: str) -> None:
    """Of an address that may have no account: whoever asks learns nothing of that."""
    reset_id = uuid4()
    token_hash = auth.hash_token(reset_token(services, reset_id))
    await queries.request_reset(conn, PASSWORD_RESET, reset_id, email, token_hash)


def verification_token(services: Services, verification_id: UUID) -> str:
    """Derived from our secret, so that the mail can be written from an id alone and a copy of
    the database verifies nobody."""
    return auth.sign(services.settings.secret, "verify-email", verification_id)


def reset_token(services: Services, reset_id: UUID) -> str:
    """Likewise."""
    return auth.sign(services.settings.secret, "reset-password", reset_id)


def address_token(services: Services, change_id: UUID) -> str:
    """Likewise."""
    return auth.sign(services.settings.secret, "confirm-email", change_id)
