from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from activelog import database
from activelog.activities.model import Activity, Photo, StoredPhoto, Values
from activelog.base.date_ranges import Selection
from activelog.database import Conn

_SQL = database.queries("activities")


async def create(
    conn: Conn, wanted: Sequence[tuple[int, Values, dict[str, str]]]
) -> list[Activity]:
    """Whose, what, and the origin of their jobs; in their order. Raises ForeignKeyViolation when an
    account is gone."""
    rows = [
        {"user_id": user_id, **vars(values), "origin": origin} for user_id, values, origin in wanted
    ]
    return await database.many(
        conn, _SQL["create"], {"activities": database.records(rows)}, Activity
    )


async def get(conn: Conn, activity_id: int, user_id: int) -> Activity | None:
    return await database.one(conn, _SQL["get"], {"id": activity_id, "user_id": user_id}, Activity)


async def lock(conn: Conn, activity_id: int, user_id: int) -> Activity | None:
    return await database.one(conn, _SQL["lock"], {"id": activity_id, "user_id": user_id}, Activity)


async def page(
    conn: Conn, selection: Selection, before: tuple[datetime, int] | None, limit: int
) -> list[Activity]:
    before_date, before_id = before or (None, None)
    place = {"before_date": before_date, "before_id": before_id, "limit": limit}
    return await database.many(conn, _SQL["page"], selection.params() | place, Activity)


async def update(conn: Conn, activity_id: int, user_id: int, values: Values) -> Activity | None:
    params = {"id": activity_id, "user_id": user_id, **vars(values)}
    return await database.one(conn, _SQL["update"], params, Activity)


async def delete(conn: Conn, activity_id: int, user_id: int) -> bool:
    params = {"id": activity_id, "user_id": user_id}
    return await database.execute(conn, _SQL["delete"], params) == 1


async def add_photo(conn: Conn, user_id: int, activity_id: int, photo: StoredPhoto) -> Photo | None:
    """None when the activity is not there any more."""
    params = asdict(photo) | {"user_id": user_id, "activity_id": activity_id}
    return await database.one(conn, _SQL["add_photo"], params, Photo)


async def photos(conn: Conn, activity_id: int, user_id: int) -> list[Photo]:
    params = {"activity_id": activity_id, "user_id": user_id}
    return await database.many(conn, _SQL["photos"], params, Photo)


async def photo_key(conn: Conn, photo_id: UUID, user_id: int) -> str | None:
    params = {"id": photo_id, "user_id": user_id}
    found: str | None = await database.value(conn, _SQL["photo_key"], params)
    return found


async def delete_photo(conn: Conn, photo_id: UUID, user_id: int) -> None:
    await database.execute(conn, _SQL["delete_photo"], {"id": photo_id, "user_id": user_id})


async def recent_types(conn: Conn, user_id: int) -> list[str]:
    cursor = await conn.execute(_SQL["recent_types"], {"user_id": user_id})
    return [name for (name,) in await cursor.fetchall()]
