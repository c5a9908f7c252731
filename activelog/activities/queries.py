from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncCopy

from activelog import db
from activelog.activities.model import Activity, Values
from activelog.db import Conn
from activelog.period import Selection

_SQL = db.queries("activities")


async def create(conn: Conn, user_id: int, values: Values) -> Activity:
    """Raises ForeignKeyViolation when the account is gone."""
    created = await db.one(conn, _SQL["create"], asdict(values) | {"user_id": user_id}, Activity)
    assert created is not None
    return created


async def get(conn: Conn, activity_id: int, user_id: int) -> Activity | None:
    return await db.one(conn, _SQL["get"], {"id": activity_id, "user_id": user_id}, Activity)


async def lock(conn: Conn, activity_id: int, user_id: int) -> Activity | None:
    return await db.one(conn, _SQL["lock"], {"id": activity_id, "user_id": user_id}, Activity)


async def page(
    conn: Conn, selection: Selection, before: tuple[datetime, int] | None, limit: int
) -> list[Activity]:
    before_date, before_id = before or (None, None)
    place = {"before_date": before_date, "before_id": before_id, "limit": limit}
    return await db.many(conn, _SQL["page"], selection.params() | place, Activity)


async def update(conn: Conn, activity_id: int, user_id: int, values: Values) -> Activity | None:
    params = asdict(values) | {"id": activity_id, "user_id": user_id}
    return await db.one(conn, _SQL["update"], params, Activity)


async def delete(conn: Conn, activity_id: int, user_id: int) -> bool:
    params = {"id": activity_id, "user_id": user_id}
    return await db.execute(conn, _SQL["delete"], params) == 1


async def request_import(conn: Conn, object_key: str, opening: dict[str, Any]) -> None:
    """`opening` is its ticket's."""
    await db.execute(conn, _SQL["request_import"], opening | {"object_key": object_key})


async def import_key(conn: Conn, import_id: UUID) -> str | None:
    found: str | None = await db.value(conn, _SQL["import_key"], {"id": import_id})
    return found


def copy_in(conn: Conn) -> AbstractAsyncContextManager[AsyncCopy]:
    """Rows of user_id and the fields of Values, in the order of the statement."""
    return conn.cursor().copy(_SQL["copy_in"])


async def owner(conn: Conn, email: str) -> int | None:
    found: int | None = await db.value(conn, _SQL["owner"], {"email": email})
    return found
