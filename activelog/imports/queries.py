import asyncio
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from typing import Any, BinaryIO
from uuid import UUID

from psycopg.types.json import Jsonb

from activelog import database
from activelog.database import Conn
from activelog.imports.model import Choices, Found, Import

_SQL = database.queries("imports")
_CHUNK = 64 * 1024
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


async def request(conn: Conn, wanted: Import, opening: dict[str, Any]) -> bool:
    """False when too many wait already. `opening` is its ticket's."""
    params = opening | asdict(wanted) | {"choices": Jsonb(wanted.choices)}
    return await database.execute(conn, _SQL["request"], params) == 1


async def get(conn: Conn, import_id: UUID) -> Import | None:
    return await database.one(conn, _SQL["get"], {"id": import_id}, Import)


async def make_incoming(conn: Conn) -> None:
    """Tables that are gone with the transaction."""
    await database.execute(conn, _SQL["make_incoming"], {})
    await database.execute(conn, _SQL["make_lookalikes"], {})


def as_copy_text(rows: Iterable[Found], source: str) -> bytes:
    """For `copy_in`, in COPY's text format: a line each, of the fields of Values. `source`: that of
    rows which name none."""
    values = ((row.line, *astuple(row.values)) for row in rows)
    lines = ("\t".join(map(_field, (*others, said or source))) for *others, said in values)
    return "".join(f"{line}\n" for line in lines).encode()


def _field(value: object) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, list):
        quoted = (str(one).replace("\\", "\\\\").replace('"', '\\"') for one in value)
        value = "{" + ",".join(f'"{one}"' for one in quoted) + "}"
    return str(value).translate(_ESCAPES)


async def copy_in(conn: Conn, rows: BinaryIO) -> None:
    """A file of what `as_copy_text` made, into `incoming`."""
    async with conn.cursor().copy(_SQL["copy_in"]) as copy:
        while chunk := await asyncio.to_thread(rows.read, _CHUNK):
            await copy.write(chunk)
    await database.execute(conn, _SQL["analyze_incoming"], {})


async def correct(conn: Conn, user_id: int, choices: Choices, *, dry_run: bool) -> int:
    """Mends activities that came in before with the other unit, or without a type, where that is
    said now; drops their rows. How many."""
    params = {
        "user_id": user_id,
        "has_units": choices.units is not None,
        "has_type": choices.type is not None,
        "dry_run": dry_run,
    }
    return await database.execute(conn, _SQL["correct"], params)


async def drop_moved(conn: Conn, user_id: int) -> int:
    """Drops what the user has at the same time by its clocks, in another zone."""
    return await database.execute(conn, _SQL["drop_moved"], {"user_id": user_id})


async def drop_duplicates(conn: Conn, user_id: int) -> int:
    """Drops what the user has already: the same type at the same time for as long; where a row
    says a day alone, as far, too."""
    return await database.execute(conn, _SQL["drop_duplicates"], {"user_id": user_id})


async def drop_repeated(conn: Conn) -> list[int]:
    """Drops what the file itself has more than once; the lines."""
    cursor = await conn.execute(_SQL["drop_repeated"])
    return [line for (line,) in await cursor.fetchall()]


@dataclass(frozen=True)
class Similar:
    """A row of the file, and an activity of the user's that may be the same."""

    line: int
    activity_id: int
    activity_date: datetime


async def find_similar(conn: Conn, user_id: int, most: int) -> list[Similar]:
    await database.execute(conn, _SQL["find_similar"], {"user_id": user_id})
    return await database.many(conn, _SQL["similar"], {"most": most}, Similar)


async def drop_similar(conn: Conn) -> int:
    return await database.execute(conn, _SQL["drop_similar"], {})


async def number(conn: Conn, lines: list[int]) -> dict[int, int]:
    """The ids that the activities of these lines will have; of those that come in."""
    cursor = await conn.execute(_SQL["number"], {"lines": lines})
    return dict(await cursor.fetchall())


async def take_in(conn: Conn, user_id: int) -> int:
    return await database.execute(conn, _SQL["take_in"], {"user_id": user_id})


async def remember_columns(conn: Conn, user_id: int, header: str, columns: str) -> None:
    params = {"user_id": user_id, "header": header, "columns": columns}
    await database.execute(conn, _SQL["remember_columns"], params)


async def known_columns(conn: Conn, user_id: int, header: str) -> str | None:
    params = {"user_id": user_id, "header": header}
    found: str | None = await database.value(conn, _SQL["known_columns"], params)
    return found
