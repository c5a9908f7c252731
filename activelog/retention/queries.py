from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from activelog import database
from activelog.database import Conn

_SQL = database.queries("retention")


@dataclass(frozen=True)
class Page:
    last_id: int | None
    deleted: int


async def retire_jobs(
    conn: Conn, after: int, *, page: int, succeeded_days: int, failed_days: int
) -> Page:
    params = {
        "after": after,
        "page": page,
        "succeeded_days": succeeded_days,
        "failed_days": failed_days,
    }
    found = await database.one(conn, _SQL["retire_jobs"], params, Page)
    assert found is not None
    return found


def retention() -> Iterator[tuple[str, bytes]]:
    """By name, statements that delete a page of what is old (`now`, `page`)."""
    for part in database.parts_with("retention"):
        yield from database.queries(part, "retention").items()


def objects() -> Iterator[tuple[str, bytes]]:
    """By the folder of the storage, statements that say which of some `keys` no row needs."""
    return ((name, found) for name, found in _of_objects() if not name.startswith("needed_"))


def needed_objects() -> Iterator[tuple[str, bytes]]:
    """By the folder, statements that give a `page` of the keys of objects that rows need, in order,
    those behind `after`."""
    for name, found in _of_objects():
        if name.startswith("needed_"):
            yield name.removeprefix("needed_"), found


def _of_objects() -> Iterator[tuple[str, bytes]]:
    for part in database.parts_with("objects"):
        yield from database.queries(part, "objects").items()


def account_deletion() -> Iterator[bytes]:
    """Statements that delete what is some accounts' (`user_ids`), a `page` at a time, before the
    accounts themselves go. The highest part comes first: what it has may hang on what is below."""
    for part in reversed(database.parts_with("account_deletion")):
        yield from database.queries(part, "account_deletion").values()


async def delete(conn: Conn, statement: bytes, params: dict[str, Any]) -> int:
    """How many rows."""
    return await database.execute(conn, statement, params)


async def orphans(conn: Conn, statement: bytes, keys: list[str]) -> list[str]:
    """Those of the keys that no row needs."""
    cursor = await conn.execute(statement, {"keys": keys})
    return [key for (key,) in await cursor.fetchall()]


async def swept_until(conn: Conn, folder: str) -> str:
    """The key behind which the sweep of the folder goes on; empty: from the start."""
    found: str | None = await database.value(conn, _SQL["swept_until"], {"folder": folder})
    return found or ""


async def note_swept(conn: Conn, folder: str, until: str) -> None:
    await database.execute(conn, _SQL["note_swept"], {"folder": folder, "until": until})


async def needed(conn: Conn, statement: bytes, after: str, page: int) -> list[str]:
    cursor = await conn.execute(statement, {"after": after, "page": page})
    return [key for (key,) in await cursor.fetchall()]


async def close_accounts(conn: Conn, now: datetime, page: int) -> list[int]:
    """Those whose time has come; nobody can restore them any more."""
    cursor = await conn.execute(_SQL["close_accounts"], {"now": now, "page": page})
    return [user_id for (user_id,) in await cursor.fetchall()]


async def delete_accounts(conn: Conn, user_ids: list[int]) -> None:
    await database.execute(conn, _SQL["delete_accounts"], {"user_ids": user_ids})
