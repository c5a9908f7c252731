"""Time zones, by their IANA names."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from activelog.base.errors import AppError

_LEVEL = ZoneInfo("Etc/GMT")
_OF_A_MACHINE = ("localtime", "Factory", "posixrules")
_PLACE = re.compile(r"(Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Indian|Pacific)/")


def clean_zone(name: str) -> str:
    """Raises AppError for a name that is no zone, or is one on some machines only."""
    if name not in _known() or name in _OF_A_MACHINE:
        raise AppError.invalid("zone", "must be a time zone like Europe/Berlin")
    return name


def known_zone(name: str) -> str:
    """UTC for one that we do not know: browsers may know others."""
    try:
        return clean_zone(name)
    except AppError:
        return "UTC"


@cache
def _known() -> set[str]:
    return available_timezones()


@cache
def all_zones() -> list[str]:
    """Those that people choose from: places by continent."""
    return ["UTC", *sorted(name for name in _known() if _PLACE.match(name))]


def at_place(moment: datetime, zone: str) -> datetime:
    """The same moment by the clocks of a zone."""
    return moment.astimezone(ZoneInfo(zone))


def clocks_of(minutes: int) -> tzinfo:
    """The clocks of a place that are so far ahead of UTC. Where they are level with it, the place
    is named all the same."""
    return timezone(timedelta(minutes=minutes)) if minutes else _LEVEL


def offset_minutes(moment: datetime) -> int | None:
    """By how much its clock is ahead of UTC; None for UTC itself, which names no place."""
    with suppress(OverflowError):  # an hour that clocks leave out is moved, as they are
        moment = moment.astimezone(UTC).astimezone(moment.tzinfo)
    offset = moment.utcoffset()
    is_of_a_place = bool(offset) or isinstance(moment.tzinfo, ZoneInfo)
    return round((offset or timedelta()).total_seconds() / 60) if is_of_a_place else None
