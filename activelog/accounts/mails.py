"""The mails of an account and when they are written."""

from datetime import datetime
from uuid import UUID, uuid4

from activelog import auth, outbox
from activelog.accounts import queries
from activelog.db import Conn
from activelog.mail import make_message_id
from activelog.services import Services

WELCOME = outbox.Kind("welcome", task="activelog.accounts.welcome", queue="critical")
VERIFICATION = outbox.Kind("verification", task="activelog.accounts.verification", queue="critical")
# Sent by the task of the verification that it stands in for.
ALREADY_REGISTERED = outbox.Kind("already_registered", VERIFICATION.task, VERIFICATION.queue)

PASSWORD_RESET = outbox.Kind(
    "password_reset", task="activelog.accounts.password_reset", queue="critical"
)
DELETION = outbox.Kind("account_deletion", "activelog.accounts.deletion", "critical")


async def write_welcome(services: Services, conn: Conn, user_id: int) -> None:
    message_id = make_message_id(services.settings.mail_from)
    await outbox.write(conn, WELCOME, user_id, message_id)


async def write_verification(services: Services, conn: Conn, user_id: int) -> None:
    verification_id = uuid4()
    token_hash = auth.hash_token(verification_token(services, verification_id))
    await queries.add_verification(conn, verification_id, user_id, token_hash)
    message_id = make_message_id(services.settings.mail_from)
    occasion = str(verification_id)
    args = {"verification_id": occasion}
    await outbox.write(conn, VERIFICATION, user_id, message_id, occasion=occasion, args=args)


async def write_reset(services: Services, conn: Conn, user_id: int) -> None:
    reset_id = uuid4()
    await queries.add_reset(
        conn, reset_id, user_id, auth.hash_token(reset_token(services, reset_id))
    )
    message_id = make_message_id(services.settings.mail_from)
    occasion = str(reset_id)
    args = {"reset_id": occasion}
    await outbox.write(conn, PASSWORD_RESET, user_id, message_id, occasion=occasion, args=args)


async def write_deletion(services: Services, conn: Conn, user_id: int, at: datetime) -> None:
    message_id = make_message_id(services.settings.mail_from)
    occasion = at.isoformat()
    args = {"occasion": occasion}
    await outbox.write(conn, DELETION, user_id, message_id, occasion=occasion, args=args)


def verification_token(services: Services, verification_id: UUID) -> str:
    """Derived from our secret, so that the mail can be written from an id alone and a copy of
    the database verifies nobody."""
    return auth.sign(services.settings.secret, "verify-email", verification_id)


def reset_token(services: Services, reset_id: UUID) -> str:
    """Likewise."""
    return auth.sign(services.settings.secret, "reset-password", reset_id)
