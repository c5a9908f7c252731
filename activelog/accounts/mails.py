"""The mails of an account and when they are written."""

from uuid import UUID, uuid4

from activelog import auth, outbox
from activelog.accounts import queries
from activelog.accounts.model import Pending
from activelog.db import Conn
from activelog.mail import make_message_id
from activelog.services import Services

WELCOME = outbox.Kind("welcome", task="activelog.accounts.welcome", queue="critical")
VERIFICATION = outbox.Kind("verification", task="activelog.accounts.verification", queue="critical")
ALREADY_REGISTERED = outbox.Kind(
    "already_registered", task="activelog.accounts.already_registered", queue="critical"
)


async def write_welcome(services: Services, conn: Conn, pending: Pending) -> None:
    if pending.owner_id is None:
        message_id = make_message_id(services.settings.mail_from)
        await outbox.write(conn, WELCOME, pending.user_id, message_id)


async def write_verification(services: Services, conn: Conn, pending: Pending) -> None:
    """A link to the address; to one that has its account a note instead, once a day at most."""
    verification_id = uuid4()
    token_hash = auth.hash_token(verification_token(services, verification_id))
    await queries.add_verification(conn, verification_id, pending.user_id, token_hash)
    message_id = make_message_id(services.settings.mail_from)
    if pending.owner_id is None:
        occasion = str(verification_id)
        args = {"verification_id": occasion}
        await outbox.write(
            conn, VERIFICATION, pending.user_id, message_id, occasion=occasion, args=args
        )
    else:
        day = services.clock().date().isoformat()
        await outbox.write(
            conn, ALREADY_REGISTERED, pending.owner_id, message_id, occasion=day, args={"day": day}
        )


def verification_token(services: Services, verification_id: UUID) -> str:
    """Derived from our secret, so that the mail can be written from an id alone and a copy of
    the database verifies nobody."""
    return auth.sign(services.settings.secret, "verify-email", verification_id)
