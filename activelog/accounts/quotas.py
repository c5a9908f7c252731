"""What one person may keep. Each part declares in sql/<part>/usage.sql how much somebody has of it;
the limits are settings."""

import time
from collections.abc import Sequence
from functools import cache
from typing import Literal

from activelog import database
from activelog.base.errors import AppError, Permanent
from activelog.base.settings import Quotas
from activelog.database import Conn
from activelog.services import Services
from activelog.tickets import TrackedJob

Thing = Literal["activities", "photo_bytes", "export_bytes", "imports_today"]

_REMEMBERED_SECONDS = 600.0
_FULL_SECONDS = 5.0  # whoever tries again at once is not counted again
_MOST_REMEMBERED = 10_000
_FULL: dict[Thing, str] = {
    "activities": "you keep {} activities, and that is the limit; delete some that you do not need",
    "photo_bytes": "your photos take {}, and that is the limit; delete some that you do not need",
    "export_bytes": "your exports take {}, and that is the limit; delete old ones, or wait until"
    " they expire",
    "imports_today": "you have sent {} files to import within a day; go on tomorrow",
}


async def usage(conn: Conn, user_id: int) -> dict[Thing, int]:
    """Of everything that is limited."""
    return {thing: (await _used(conn, thing, [user_id]))[0] for thing in _statements()}


async def check(conn: Conn, quotas: Quotas, user_id: int, thing: Thing, more: int = 1) -> None:
    """Raises a 409 that says what to do when there is no room for so many more."""
    if await _room(conn, quotas, user_id, thing) < more:
        raise _full(quotas, thing)


async def check_in_job(conn: Conn, job: TrackedJob, thing: Thing, more: int = 1) -> None:
    """The same for a job that a person follows: it fails for good."""
    try:
        await check(conn, job.services.settings.quotas, job.user_id, thing, more)
    except AppError as error:
        raise Permanent(str(error)) from None


async def take_activity(services: Services, user_id: int) -> None:
    """The same for one activity, counted from time to time only: between two counts each process
    knows how much room there was, and takes off what it has logged."""
    now, quotas = time.monotonic(), services.settings.quotas
    until, room = services.activity_room.get(user_id, (0.0, 0))
    if room < 1 and now < until:
        raise _full(quotas, "activities")
    if now > until or room < 1:
        room = quotas.activities - await services.batch(_activities, user_id)
        if room < 1:
            services.activity_room[user_id] = now + _FULL_SECONDS, 0
            raise _full(quotas, "activities")
        until = now + _REMEMBERED_SECONDS
        if len(services.activity_room) >= _MOST_REMEMBERED:
            services.activity_room.clear()
    services.activity_room[user_id] = until, room - 1


def forget(services: Services, user_id: int) -> None:
    """There may be room again."""
    services.activity_room.pop(user_id, None)


def shown(thing: Thing, amount: int) -> str:
    return f"{amount / 1e6:,.0f} MB" if thing.endswith("bytes") else f"{amount:,}"


async def _room(conn: Conn, quotas: Quotas, user_id: int, thing: Thing) -> int:
    [used] = await _used(conn, thing, [user_id])
    return quotas.of(thing) - used


async def _activities(conn: Conn, user_ids: Sequence[int]) -> list[int]:
    return await _used(conn, "activities", user_ids)


async def _used(conn: Conn, thing: Thing, user_ids: Sequence[int]) -> list[int]:
    """In their order."""
    cursor = await conn.execute(_statements()[thing], {"user_ids": list(set(user_ids))})
    found: dict[int, int] = dict(await cursor.fetchall())
    return [found[user_id] for user_id in user_ids]


def _full(quotas: Quotas, thing: Thing) -> AppError:
    return AppError("quota exceeded", _FULL[thing].format(shown(thing, quotas.of(thing))), 409)


@cache
def _statements() -> dict[Thing, bytes]:
    found: dict[Thing, bytes] = {}
    for part in database.parts_with("usage"):
        found |= database.queries(part, "usage")  # type: ignore[arg-type] # its names are Things
    return found
