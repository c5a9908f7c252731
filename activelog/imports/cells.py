"""What stands in the cells of trackers' files: types, dates, numbers, durations."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from activelog.base.errors import AppError

_KINDS = {
    "run": "running", "trail run": "running", "trail running": "running", "laufen": "running",
    "lauf": "running", "virtual run": "running", "treadmill running": "running",
    "cycling": "ride", "road cycling": "ride", "virtual ride": "ride", "mountain biking": "ride",
    "radfahrt": "ride", "radfahren": "ride",
    "walking": "walk", "spaziergang": "walk", "hiking": "hike", "wanderung": "hike",
    "swimming": "swim", "pool swim": "swim", "pool swimming": "swim", "lap swimming": "swim",
    "open water swimming": "swim", "schwimmen": "swim",
    "weight training": "strength", "strength training": "strength", "krafttraining": "strength",
}  # fmt: skip

_DATES = (
    "%b %d, %Y, %I:%M:%S %p",  # Strava: Jan 15, 2024, 6:30:00 AM
    "%d.%m.%Y, %H:%M:%S",  # Strava, German
    "%d/%m/%Y, %H:%M:%S",  # Strava, French and Italian
    "%Y/%m/%d %H:%M:%S",  # Strava, Japanese
    "%Y年%m月%d日 %H:%M:%S",  # Strava, Chinese
    "%m/%d/%Y %H:%M:%S",
)


# Strava in most other languages: 15 Sept 2024, 06:30:00; 15 janv. 2024 à 06:30:00; 15 de ene. de …
_BY_NAME = re.compile(
    r"(\d{1,2})\.? (?:de )?([^\W\d]+)\.? (?:de )?(\d{4}),? (?:\w{1,2} )?(\d{1,2}:\d\d:\d\d)"
)
_MONTHS = {
    beginning: number
    for number, beginnings in enumerate(
        ("jan gen ene", "feb fév fev", "mar mär mrt", "apr avr abr", "mai may mag mei",
         "jun juin giu", "jul juil lug", "aug aoû ago", "sep set", "oct okt ott out", "nov",
         "dec déc dez dic"), start=1)
    for beginning in beginnings.split()
}  # fmt: skip


def activity_kind(text: str) -> str:
    name = text.strip().lower()
    return _KINDS.get(name, name)


def date_of(text: str) -> datetime:
    """None of these files names a zone; Strava's are in UTC, the others are taken for it."""
    text = " ".join(text.replace("\u202f", " ").split())
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = _localised(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _localised(text: str) -> datetime:
    for pattern in _DATES:
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    if found := _BY_NAME.fullmatch(text):
        day, name, year, time = found.groups()
        if month := _MONTHS.get(name[:4].lower()) or _MONTHS.get(name[:3].lower()):
            said = f"{year}-{month}-{day} {time} +0000"
            return datetime.strptime(said, "%Y-%m-%d %H:%M:%S %z")
    raise AppError.invalid("date", f"{text[:40]!r} is not a date that we can read")


def number(text: str) -> float | None:
    """With a point or a comma for decimals, and with or without marks for thousands."""
    text = re.sub(r"[\s\u00a0\u202f']", "", text)
    if text in ("", "--"):
        return None
    if "," in text and "." in text:
        thousands = "," if text.rindex(",") < text.rindex(".") else "."
        text = text.replace(thousands, "")
    elif re.fullmatch(r"\d{1,3}(,\d{3})+", text):
        text = text.replace(",", "")
    try:
        found = float(text.replace(",", "."))
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise AppError.invalid("number", f"{text[:40]!r} is not a number")
    return found


def whole(text: str) -> int | None:
    found = number(text)
    return None if found is None else round(found)


def seconds_of(text: str) -> float:
    """Of `45:00`, `1:02:03` or `00:45:00.5`."""
    parts = [number(part) or 0 for part in text.split(":")]
    if not 1 <= len(parts) <= 3:
        raise AppError.invalid("time", f"{text[:40]!r} is not a duration")
    seconds = 0.0
    for part in parts:
        seconds = seconds * 60 + part
    return seconds


def notes_of(*texts: str) -> str:
    return "\n".join(stripped for text in texts if (stripped := text.strip()))


def cell(cells: Sequence[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""
