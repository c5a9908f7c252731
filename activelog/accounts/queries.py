from datetime import datetime
from uuid import UUID

from activelog import database
from activelog.accounts.model import Credentials, Pending, Profile
from activelog.database import Conn

_SQL = database.queries("accounts")


async def register(conn: Conn, email: str, name: str, password_hash: str) -> Pending:
    params = {"email": email, "name": name, "password_hash": password_hash}
    registered = await database.one(conn, _SQL["register"], params, Pending)
    assert registered is not None
    return registered


async def pending(conn: Conn, user_id: int) -> Pending | None:
    return await database.one(conn, _SQL["pending"], {"user_id": user_id}, Pending)


async def add_verification(
    conn: Conn, verification_id: UUID, user_id: int, token_hash: str
) -> None:
    params = {"id": verification_id, "user_id": user_id, "token_hash": token_hash}
    await database.execute(conn, _SQL["add_verification"], params)


async def verification_is_open(conn: Conn, verification_id: UUID) -> bool:
    return bool(await database.value(conn, _SQL["verification_is_open"], {"id": verification_id}))


async def verify(conn: Conn, token_hash: str) -> datetime | None:
    """Raises UniqueViolation when another registration of the address was verified first."""
    found: datetime | None = await database.value(conn, _SQL["verify"], {"token_hash": token_hash})
    return found


async def add_reset(conn: Conn, reset_id: UUID, user_id: int, token_hash: str) -> None:
    params = {"id": reset_id, "user_id": user_id, "token_hash": token_hash}
    await database.execute(conn, _SQL["add_reset"], params)


async def reset_is_open(conn: Conn, reset_id: UUID) -> bool:
    return bool(await database.value(conn, _SQL["reset_is_open"], {"id": reset_id}))


async def reset_token_is_open(conn: Conn, token_hash: str) -> bool:
    return bool(await database.value(conn, _SQL["reset_token_is_open"], {"token_hash": token_hash}))


async def reset_password(conn: Conn, token_hash: str, password_hash: str) -> bool:
    """False for a token that is unknown, used or too old."""
    params = {"token_hash": token_hash, "password_hash": password_hash}
    return await database.value(conn, _SQL["reset_password"], params) is not None


async def credentials(conn: Conn, email: str) -> Credentials | None:
    return await database.one(conn, _SQL["credentials"], {"email": email}, Credentials)


async def delete_later(conn: Conn, user_id: int, days: int) -> Profile | None:
    params = {"user_id": user_id, "days": days}
    return await database.one(conn, _SQL["delete_later"], params, Profile)


async def restore(conn: Conn, user_id: int) -> Profile | None:
    return await database.one(conn, _SQL["restore"], {"user_id": user_id}, Profile)


async def profile(conn: Conn, user_id: int) -> Profile | None:
    return await database.one(conn, _SQL["profile"], {"user_id": user_id}, Profile)


async def owner(conn: Conn, email: str) -> int | None:
    """Whose verified address it is."""
    found: int | None = await database.value(conn, _SQL["owner"], {"email": email})
    return found
