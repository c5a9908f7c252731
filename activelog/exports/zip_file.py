"""All that is somebody's, as one ZIP: tables as CSV, photos and reports as they are."""

import asyncio
import zipfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from activelog import database
from activelog.activities import queries as activities
from activelog.activities.model import Activity
from activelog.base.date_ranges import Selection, TimeRange
from activelog.base.formatting import escape_formula
from activelog.database import Conn
from activelog.exports import queries
from activelog.exports.csv_file import csv_chunks, csv_lines
from activelog.exports.model import CsvRequest
from activelog.storage import ObjectMissing
from activelog.tickets import TrackedJob

_CHUNK = 1024 * 1024
_OBJECTS = ("photos", "reports")
_PAGE = 500


async def write_zip(job: TrackedJob, user_id: int, path: Path) -> int:
    """Writes the file, in constant memory; returns the number of activities in it."""
    everything = Selection(user_id, TimeRange(None, None))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        await job.report(5, "Packing activities...")
        async with database.snapshot(job.services.reader) as conn:
            total = await queries.count(conn, everything)
            await _add(archive, "activities.csv", csv_chunks(conn, everything, CsvRequest()))
            await _add(archive, "activities.json", _json(conn, everything))
            for name, statement in queries.personal_data().items():
                await _add(archive, f"{name}.csv", _table(conn, statement, user_id))
        schema = msgspec.json.schema(list[Activity])
        archive.writestr("activities.schema.json", msgspec.json.encode(schema))
        for number, kind in enumerate(_OBJECTS):
            await job.report(30 + 30 * number, f"Packing {kind}...")
            await _add_objects(job, archive, kind, user_id)
    return total


async def _json(conn: Conn, everything: Selection) -> AsyncGenerator[bytes, None]:
    """As the API shows them; activities.schema.json says what that is."""
    mark, before = b"[", None
    while page := await activities.page(conn, everything, before, _PAGE):
        yield mark + b",\n".join(map(msgspec.json.encode, page))
        mark = b",\n"
        before = page[-1].activity_date, page[-1].id
    yield b"[]" if mark == b"[" else b"]"


async def _table(conn: Conn, statement: bytes, user_id: int) -> AsyncGenerator[bytes, None]:
    async with queries.table(conn, statement, user_id) as (columns, rows):
        yield csv_lines([columns])
        while batch := await rows.fetchmany(_PAGE):
            yield csv_lines([[_cell(value) for value in row] for row in batch])


def _cell(value: Any) -> Any:
    match value:
        case str():
            return escape_formula(value)
        case dict() | list() | bool() | datetime():  # times as in the API
            return msgspec.json.encode(value).decode().strip('"')
        case _:
            return value


async def _add(archive: zipfile.ZipFile, name: str, chunks: AsyncGenerator[bytes, None]) -> None:
    with archive.open(name, "w", force_zip64=True) as entry:
        async with aclosing(chunks):
            async for chunk in chunks:
                await asyncio.to_thread(entry.write, chunk)


async def _add_objects(job: TrackedJob, archive: zipfile.ZipFile, kind: str, user_id: int) -> None:
    storage = job.services.storage
    async for page in storage.walk(f"{kind}/{user_id}/", _PAGE):
        for stored in page:
            name = f"{kind}/{stored.key.rpartition('/')[2]}"
            try:
                async with storage.open(stored.key) as file:
                    await _add(archive, name, _read(file))
            except ObjectMissing:  # deleted meanwhile
                continue


async def _read(file: Any) -> AsyncGenerator[bytes, None]:
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        yield chunk
