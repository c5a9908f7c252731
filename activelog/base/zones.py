"""Time zones, by their IANA names."""

import re
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from activelog.base.errors import AppError

_PLACE = re.compile(r"(Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific)/")


def clean_zone(name: str) -> str:
    """Raises AppError for a name that is no zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise AppError.invalid("zone", "must be a time zone like Europe/Berlin") from None
    return name


def known_zone(name: str) -> str:
    """UTC for one that we do not know: browsers may know others."""
    try:
        return clean_zone(name)
    except AppError:
        return "UTC"


@cache
def all_zones() -> list[str]:
    """Those that people choose from: places by continent."""
    return ["UTC", *sorted(name for name in available_timezones() if _PLACE.match(name))]


def at_place(moment: datetime, zone: str) -> datetime:
    """The same moment by the clocks of a zone."""
    return moment.astimezone(ZoneInfo(zone))


def offset_minutes(moment: datetime) -> int | None:
    """By how much its clock is ahead of UTC; None for UTC itself, which names no place."""
    offset = moment.utcoffset()
    return round(offset.total_seconds() / 60) if offset else None
