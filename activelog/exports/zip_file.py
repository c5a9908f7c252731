"""All that is somebody's, as one ZIP: tables as CSV, photos and reports as they are."""

import asyncio
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

from activelog import db
from activelog.exports import queries
from activelog.exports.csv_file import CHUNK, csv_chunks
from activelog.exports.model import CsvRequest
from activelog.period import Period, Selection
from activelog.storage import ObjectMissing
from activelog.tickets import Work

_CHUNK = 1024 * 1024
_OBJECTS = ("photos", "reports")
_PAGE = 500


async def write_zip(work: Work, user_id: int, path: Path) -> int:
    """Writes the file, in constant memory; returns the number of activities in it."""
    everything = Selection(user_id, Period(None, None))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        await work.report(5, "Packing activities...")
        async with db.snapshot(work.services.pool) as conn:
            total = await queries.count(conn, everything)
            await _add(archive, "activities.csv", csv_chunks(conn, everything, CsvRequest()))
            for name in queries.TABLES:
                await _add(archive, f"{name}.csv", queries.copy_table(conn, name, user_id, CHUNK))
        for number, kind in enumerate(_OBJECTS):
            await work.report(30 + 30 * number, f"Packing {kind}...")
            await _add_objects(work, archive, kind, user_id)
    return total


async def _add(archive: zipfile.ZipFile, name: str, chunks: AsyncIterator[bytes]) -> None:
    with archive.open(name, "w", force_zip64=True) as entry:
        async for chunk in chunks:
            await asyncio.to_thread(entry.write, chunk)


async def _add_objects(work: Work, archive: zipfile.ZipFile, kind: str, user_id: int) -> None:
    storage = work.services.storage
    async for page in storage.walk(f"{kind}/{user_id}/", _PAGE):
        for stored in page:
            name = f"{kind}/{stored.key.rpartition('/')[2]}"
            try:
                async with storage.open(stored.key) as file:
                    await _add(archive, name, _read(file))
            except ObjectMissing:  # deleted meanwhile
                continue


async def _read(file: object) -> AsyncIterator[bytes]:
    read = file.read  # type: ignore[attr-defined]
    while chunk := await asyncio.to_thread(read, _CHUNK):
        yield chunk
