from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

from psycopg import AsyncCopy

from activelog import database
from activelog.database import Conn
from activelog.imports.model import Import

_SQL = database.queries("imports")


async def request(conn: Conn, object_key: str, opening: dict[str, Any], *, dry_run: bool) -> bool:
    """False when too many wait already. `opening` is its ticket's."""
    params = opening | {"object_key": object_key, "dry_run": dry_run}
    return await database.execute(conn, _SQL["request"], params) == 1


async def get(conn: Conn, import_id: UUID) -> Import | None:
    return await database.one(conn, _SQL["get"], {"id": import_id}, Import)


async def make_incoming(conn: Conn) -> None:
    """A table that is gone with the transaction."""
    await database.execute(conn, _SQL["make_incoming"], {})


def copy_in(conn: Conn) -> AbstractAsyncContextManager[AsyncCopy]:
    """Rows of the fields of Values, in the order of the statement, into that table."""
    return conn.cursor().copy(_SQL["copy_in"])


async def drop_duplicates(conn: Conn, user_id: int) -> int:
    """Drops what the user has already: the same type at the same time for as long."""
    await database.execute(conn, _SQL["analyze_incoming"], {})
    return await database.execute(conn, _SQL["drop_duplicates"], {"user_id": user_id})


async def drop_repeated(conn: Conn) -> int:
    """Drops what the file itself has more than once."""
    return await database.execute(conn, _SQL["drop_repeated"], {})


async def take_in(conn: Conn, user_id: int) -> int:
    return await database.execute(conn, _SQL["take_in"], {"user_id": user_id})
