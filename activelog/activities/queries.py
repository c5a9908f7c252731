from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncCopy

from activelog import db
from activelog.activities.model import Activity, Photo, Values
from activelog.db import Conn
from activelog.period import Selection
from activelog.pictures import Picture

_SQL = db.queries("activities")


async def create(conn: Conn, wanted: Sequence[tuple[int, Values, str | None]]) -> list[Activity]:
    """Whose, what, and by which request; in their order. Raises ForeignKeyViolation when an account
    is gone."""
    rows = [
        {"user_id": user_id, **vars(values), "request_id": request_id}
        for user_id, values, request_id in wanted
    ]
    return await db.many(conn, _SQL["create"], {"activities": db.records(rows)}, Activity)


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
    params = {"id": activity_id, "user_id": user_id, **vars(values)}
    return await db.one(conn, _SQL["update"], params, Activity)


async def delete(conn: Conn, activity_id: int, user_id: int) -> bool:
    params = {"id": activity_id, "user_id": user_id}
    return await db.execute(conn, _SQL["delete"], params) == 1


async def request_import(
    conn: Conn, object_key: str, opening: dict[str, Any], *, dry_run: bool
) -> bool:
    """False when too many wait already. `opening` is its ticket's."""
    params = opening | {"object_key": object_key, "dry_run": dry_run}
    return await db.execute(conn, _SQL["request_import"], params) == 1


@dataclass(frozen=True)
class Import:
    object_key: str
    dry_run: bool


async def get_import(conn: Conn, import_id: UUID) -> Import | None:
    return await db.one(conn, _SQL["get_import"], {"id": import_id}, Import)


async def make_incoming(conn: Conn) -> None:
    """A table that is gone with the transaction."""
    await db.execute(conn, _SQL["make_incoming"], {})


def copy_in(conn: Conn) -> AbstractAsyncContextManager[AsyncCopy]:
    """Rows of the fields of Values, in the order of the statement, into that table."""
    return conn.cursor().copy(_SQL["copy_in"])


async def drop_duplicates(conn: Conn, user_id: int) -> int:
    """Drops what the user has already: the same type at the same time for as long."""
    await db.execute(conn, _SQL["analyze_incoming"], {})
    return await db.execute(conn, _SQL["drop_duplicates"], {"user_id": user_id})


async def drop_repeated(conn: Conn) -> int:
    """Drops what the file itself has more than once."""
    return await db.execute(conn, _SQL["drop_repeated"], {})


async def take_in(conn: Conn, user_id: int) -> int:
    return await db.execute(conn, _SQL["take_in"], {"user_id": user_id})


async def add_photo(
    conn: Conn, photo_id: UUID, user_id: int, activity_id: int, key: str, picture: Picture
) -> Photo | None:
    """None when the activity is not there any more."""
    params = {
        "id": photo_id,
        "user_id": user_id,
        "activity_id": activity_id,
        "object_key": key,
        "width": picture.width,
        "height": picture.height,
        "size": len(picture.data),
    }
    return await db.one(conn, _SQL["add_photo"], params, Photo)


async def photos(conn: Conn, activity_id: int, user_id: int) -> list[Photo]:
    params = {"activity_id": activity_id, "user_id": user_id}
    return await db.many(conn, _SQL["photos"], params, Photo)


async def photo_key(conn: Conn, photo_id: UUID, user_id: int) -> str | None:
    params = {"id": photo_id, "user_id": user_id}
    found: str | None = await db.value(conn, _SQL["photo_key"], params)
    return found


async def delete_photo(conn: Conn, photo_id: UUID, user_id: int) -> None:
    await db.execute(conn, _SQL["delete_photo"], {"id": photo_id, "user_id": user_id})


async def owner(conn: Conn, email: str) -> int | None:
    found: int | None = await db.value(conn, _SQL["owner"], {"email": email})
    return found
