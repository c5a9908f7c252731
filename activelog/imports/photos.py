"""Photos of an archive: cleaned and stored before their activities come in, so that the import is
one short transaction. What no row takes then is swept at night."""

import asyncio
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from activelog.accounts import quotas
from activelog.activities import queries as activities
from activelog.activities.model import StoredPhoto
from activelog.activities.photos import LONGEST_DECODING, LONGEST_SIDE, PER_ACTIVITY
from activelog.base.errors import JobError, Permanent
from activelog.base.pictures import NotAPicture, clean_picture
from activelog.database import Conn
from activelog.imports.model import Found
from activelog.imports.source import Source
from activelog.tickets import TrackedJob

MOST = 5_000  # of an archive
_CHECKED_EVERY = 100  # photos


@dataclass(frozen=True)
class Prepared:
    line: int
    photo: StoredPhoto


async def prepare(job: TrackedJob, source: Source, problems: list[str]) -> list[Prepared]:
    """Of a source that is read for this alone. What is no picture, or too many, is a problem."""
    found: list[Prepared] = []
    while batch := await asyncio.to_thread(_next_with_photos, source):
        for name in batch.photos[:PER_ACTIVITY]:
            if len(found) >= MOST:
                problems.append(f"the archive has more than {MOST:,} photos; the first came in")
                return found
            if len(found) % _CHECKED_EVERY == 0 and not await _has_room(job):
                problems.append("there is no room for more photos")
                return found
            try:
                found.append(await _prepare_one(job, source, batch.line, name))
            except (JobError, NotAPicture) as error:
                problems.append(f"line {batch.line}: the photo {name[-60:]} was left out: {error}")
            await job.report(0, f"Preparing photos: {len(found):,}")
    return found


async def take_in(conn: Conn, user_id: int, prepared: list[Prepared], ids: dict[int, int]) -> int:
    """Those whose activities came in; `ids` by line."""
    taken = 0
    for one in prepared:
        if one.line in ids:
            await activities.add_photo(conn, user_id, ids[one.line], one.photo)
            taken += 1
    return taken


async def _has_room(job: TrackedJob) -> bool:
    with suppress(Permanent):
        async with job.services.pool.connection() as conn:
            await quotas.check_in_job(conn, job, "photo_bytes")
        return True
    return False


def _next_with_photos(source: Source) -> Found | None:
    return next((row for row in source.rows if isinstance(row, Found) and row.photos), None)


async def _prepare_one(job: TrackedJob, source: Source, line: int, name: str) -> Prepared:
    data = await asyncio.to_thread(source.photo, name)
    picture = await job.services.offload(
        clean_picture, data, LONGEST_SIDE, owner=job.user_id, seconds=LONGEST_DECODING
    )
    photo_id = uuid4()
    key = f"photos/{job.user_id}/{photo_id}.jpg"
    with tempfile.NamedTemporaryFile(prefix="activelog-") as file:
        path = Path(file.name)
        path.write_bytes(picture.data)
        await job.services.storage.put(key, path, "image/jpeg")
    size = len(picture.data)
    return Prepared(line, StoredPhoto(photo_id, key, picture.width, picture.height, size))
