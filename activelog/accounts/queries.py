from datetime import date, datetime
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from activelog import database
from activelog.accounts.model import (
    ChangedAddress,
    ChangeProfile,
    Credentials,
    OpenReset,
    Pending,
    Profile,
    RegistrationMail,
)
from activelog.base import logs
from activelog.database import Conn
from activelog.mail import LanguageCode, MailKind

_SQL = database.queries("accounts")


async def register(
    conn: Conn, email: str, name: str, password_hash: str, *, zone: str, language: LanguageCode
) -> Pending:
    params = {
        "email": email,
        "name": name,
        "password_hash": password_hash,
        "zone": zone,
        "language": language,
    }
    registered = await database.one(conn, _SQL["register"], params, Pending)
    assert registered is not None
    return registered


async def pending(conn: Conn, user_id: int) -> Pending | None:
    return await database.one(conn, _SQL["pending"], {"user_id": user_id}, Pending)


async def registration(
    conn: Conn, link: MailKind, note: MailKind, user_id: int
) -> RegistrationMail | None:
    params = {"user_id": user_id, "link": link.name, "note": note.name}
    return await database.one(conn, _SQL["registration"], params, RegistrationMail)


async def add_verification(
    conn: Conn, verification_id: UUID, user_id: int, token_hash: str
) -> None:
    params = {"id": verification_id, "user_id": user_id, "token_hash": token_hash}
    await database.execute(conn, _SQL["add_verification"], params)


async def verification_is_open(conn: Conn, verification_id: UUID) -> bool:
    return bool(await database.value(conn, _SQL["verification_is_open"], {"id": verification_id}))


async def verify(conn: Conn, token_hash: str, password_hash: str | None = None) -> datetime | None:
    """With a new password, if one is given. Raises UniqueViolation when another registration of
    the address was verified first."""
    params = {"token_hash": token_hash, "password_hash": password_hash}
    found: datetime | None = await database.value(conn, _SQL["verify"], params)
    return found


async def verification_token_is_open(conn: Conn, token_hash: str) -> bool:
    params = {"token_hash": token_hash}
    return bool(await database.value(conn, _SQL["verification_token_is_open"], params))


async def request_reset(
    conn: Conn, kind: MailKind, reset_id: UUID, email: str, token_hash: str, asked_from: str
) -> None:
    """Of an address that may have no account: the job that mails the link looks for its owner."""
    params = {
        "id": reset_id,
        "email": email,
        "token_hash": token_hash,
        "asked_from": asked_from,
        "queue": kind.queue,
        "task": kind.task,
        "args": Jsonb({kind.key: str(reset_id), **logs.origin()}),
    }
    await database.execute(conn, _SQL["request_reset"], params)


async def find_reset_owner(conn: Conn, reset_id: UUID) -> int | None:
    """The owner of the address, from now on of the link, too."""
    found: int | None = await database.value(conn, _SQL["find_reset_owner"], {"id": reset_id})
    return found


async def drop_reset(conn: Conn, reset_id: UUID) -> None:
    """Of an address that nobody has."""
    await database.execute(conn, _SQL["drop_reset"], {"id": reset_id})


async def signed_in_from(conn: Conn, email: str, host: str) -> bool:
    """Whether the owner of the address has signed in from there in the last 90 days."""
    params = {"email": email, "host": host}
    return bool(await database.value(conn, _SQL["signed_in_from"], params))


async def open_reset(conn: Conn, reset_id: UUID) -> OpenReset | None:
    return await database.one(conn, _SQL["open_reset"], {"id": reset_id}, OpenReset)


async def reset_token_is_open(conn: Conn, token_hash: str) -> bool:
    return bool(await database.value(conn, _SQL["reset_token_is_open"], {"token_hash": token_hash}))


async def reset_password(conn: Conn, token_hash: str, password_hash: str) -> int | None:
    """Whose it is now; None for a token that is unknown, used or too old. All links that wait are
    used up."""
    params = {"token_hash": token_hash, "password_hash": password_hash}
    user_id: int | None = await database.value(conn, _SQL["reset_password"], params)
    if user_id is not None:
        await _use_up_links(conn, user_id)
    return user_id


async def _use_up_links(conn: Conn, user_id: int) -> None:
    await database.execute(conn, _SQL["use_up_links"], {"user_id": user_id})


async def credentials(conn: Conn, email: str) -> Credentials | None:
    return await database.one(conn, _SQL["credentials"], {"email": email}, Credentials)


async def delete_later(conn: Conn, user_id: int, days: int) -> Profile | None:
    params = {"user_id": user_id, "days": days}
    return await database.one(conn, _SQL["delete_later"], params, Profile)


async def restore(conn: Conn, user_id: int) -> Profile | None:
    return await database.one(conn, _SQL["restore"], {"user_id": user_id}, Profile)


async def profile(conn: Conn, user_id: int) -> Profile | None:
    return await database.one(conn, _SQL["profile"], {"user_id": user_id}, Profile)


async def zone(conn: Conn, user_id: int) -> str:
    """The person's time zone; UTC when the account is gone."""
    found: str | None = await database.value(conn, _SQL["zone"], {"user_id": user_id})
    return found or "UTC"


async def local_day(conn: Conn, user_id: int, now: datetime) -> date:
    """What day it is where the person lives."""
    found: date | None = await database.value(
        conn, _SQL["local_day"], {"user_id": user_id, "now": now}
    )
    return found or now.date()


async def change_profile(conn: Conn, user_id: int, changes: ChangeProfile) -> Profile | None:
    """None stays as it is."""
    params = msgspec.structs.asdict(changes) | {"user_id": user_id}
    return await database.one(conn, _SQL["change_profile"], params, Profile)


async def end_sessions(conn: Conn, user_id: int) -> None:
    await database.execute(conn, _SQL["end_sessions"], {"user_id": user_id})


async def owner(conn: Conn, email: str) -> int | None:
    """Whose verified address it is."""
    found: int | None = await database.value(conn, _SQL["owner"], {"email": email})
    return found


async def change_password(conn: Conn, user_id: int, password_hash: str) -> None:
    """Ends all sessions, too, and uses up the links that wait."""
    params = {"user_id": user_id, "password_hash": password_hash}
    await database.execute(conn, _SQL["change_password"], params)
    await _use_up_links(conn, user_id)


async def add_address_change(
    conn: Conn, change_id: UUID, user_id: int, email: str, token_hash: str
) -> None:
    params = {"id": change_id, "user_id": user_id, "email": email, "token_hash": token_hash}
    await database.execute(conn, _SQL["add_address_change"], params)


async def address_change_is_open(conn: Conn, change_id: UUID) -> bool:
    return bool(await database.value(conn, _SQL["address_change_is_open"], {"id": change_id}))


async def confirm_address(conn: Conn, token_hash: str) -> ChangedAddress | None:
    """None for a token that is unknown, used or too old; else all links that wait are used up.
    Raises UniqueViolation when the address has another account."""
    params = {"token_hash": token_hash}
    changed = await database.one(conn, _SQL["confirm_address"], params, ChangedAddress)
    if changed is not None:
        await _use_up_links(conn, changed.user_id)
    return changed
