"""What people bring along: our own CSV, and those of Strava, Garmin and RunKeeper.

Strava names columns twice and in the language of the account, so its columns go by their places;
it is known by the two pairs of columns that share a name in every language. Distances of its second
pair are in metres, those of the first in kilometres, but for swims in metres.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from activelog.errors import AppError, Permanent

Fields = dict[str, Any]

_REQUIRED = ("activity_type", "duration_minutes", "activity_date")
_KNOWN = (*_REQUIRED, "id", "distance_km", "tags", "notes", "calories")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n]")


@dataclass(frozen=True)
class Format:
    """`parse` turns the cells of a row into the fields of a NewActivity; it raises AppError or
    ValueError for a row that it cannot read."""

    name: str
    columns: int
    parse: Callable[[Sequence[str]], Fields]


def detect(header: Sequence[str]) -> Format:
    """Raises Permanent for a file of no known kind."""
    names = [name.strip().lower() for name in header]
    if _is_strava(names):
        return Format("strava", len(names), _strava)
    if {"activity type", "date", "title", "time", "distance"} <= set(names):
        return Format("garmin", len(names), _garmin(names))
    if {"activity id", "date", "type", "duration"} <= set(names):
        return Format("runkeeper", len(names), _runkeeper(names))
    return Format("activelog", len(names), _own(_checked([name.strip() for name in header])))


def unguard(cell: str) -> str:
    """Undoes what an export puts before a text that a spreadsheet would take for a formula."""
    return cell[1:] if _GUARDED.match(cell) else cell


# Our own


def _checked(header: list[str]) -> list[str]:
    missing = [name for name in _REQUIRED if name not in header]
    unknown = [name for name in header if name not in _KNOWN]
    if missing:
        raise Permanent(f"the header has no column {', '.join(missing)}")
    if unknown or len(set(header)) < len(header):
        raise Permanent(
            f"the header has unknown or repeated columns: {', '.join(unknown or header)}"
        )
    return header


def _own(header: list[str]) -> Callable[[Sequence[str]], Fields]:
    def parse(cells: Sequence[str]) -> Fields:
        found = {name: unguard(cell) for name, cell in zip(header, cells, strict=True)}
        fields: Fields = {name: cell for name, cell in found.items() if name != "id" and cell != ""}
        if "tags" in fields:
            fields["tags"] = fields["tags"].split(",")
        return fields

    return parse


# Strava

_DATE, _NAME, _TYPE, _DESCRIPTION, _ELAPSED, _KILOMETRES = 1, 2, 3, 4, 5, 6
_ELAPSED_AGAIN, _MOVING, _METRES, _CALORIES = 15, 16, 17, 34


def _is_strava(names: list[str]) -> bool:
    if len(names) > _METRES:
        return names[_ELAPSED] == names[_ELAPSED_AGAIN] and names[_KILOMETRES] == names[_METRES]
    english = ["activity id", "activity date", "activity name", "activity type"]
    return len(names) > _KILOMETRES and names[:4] == english


def _strava(cells: Sequence[str]) -> Fields:
    kind = _kind(cells[_TYPE])
    seconds = _number_by_place(_cell(cells, _MOVING)) or _number_by_place(cells[_ELAPSED]) or 0
    metres = _number_by_place(_cell(cells, _METRES))
    if metres is None:
        metres = (_number_by_place(cells[_KILOMETRES]) or 0) * (1 if kind == "swim" else 1000)
    return {
        "activity_type": kind,
        "activity_date": _date(cells[_DATE]),
        "duration_minutes": round(seconds / 60),
        "distance_km": metres / 1000,
        "calories": _whole(_cell(cells, _CALORIES)),
        "notes": _notes(cells[_NAME], cells[_DESCRIPTION]),
    }


def _number_by_place(text: str) -> float | None:
    """Strava marks no thousands, so a lone comma is a decimal one."""
    return _number(text if "." in text else text.replace(",", "."))


# Garmin and RunKeeper


def _garmin(names: list[str]) -> Callable[[Sequence[str]], Fields]:
    def parse(cells: Sequence[str]) -> Fields:
        row = dict(zip(names, cells, strict=True))
        kind = _kind(row["activity type"])
        distance = _number(row["distance"]) or 0
        return {
            "activity_type": kind,
            "activity_date": _date(row["date"]),
            "duration_minutes": round(_seconds(row["time"]) / 60),
            # Garmin Connect counts swims in metres, everything else in kilometres.
            "distance_km": distance / 1000 if kind == "swim" else distance,
            "calories": _whole(row.get("calories", "")),
            "notes": row["title"].strip(),
        }

    return parse


def _runkeeper(names: list[str]) -> Callable[[Sequence[str]], Fields]:
    distance = next((name for name in names if name.startswith("distance")), None)
    factor = 1.609344 if distance and "(mi)" in distance else 1

    def parse(cells: Sequence[str]) -> Fields:
        row = dict(zip(names, cells, strict=True))
        return {
            "activity_type": _kind(row["type"]),
            "activity_date": _date(row["date"]),
            "duration_minutes": round(_seconds(row["duration"]) / 60),
            "distance_km": (_number(row[distance]) or 0) * factor if distance else 0,
            "calories": _whole(row.get("calories burned", "")),
            "notes": _notes(row.get("route name", ""), row.get("notes", "")),
        }

    return parse


# Cells

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


def _kind(text: str) -> str:
    name = text.strip().lower()
    return _KINDS.get(name, name)


def _date(text: str) -> datetime:
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


def _number(text: str) -> float | None:
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


def _whole(text: str) -> int | None:
    found = _number(text)
    return None if found is None else round(found)


def _seconds(text: str) -> float:
    """Of `45:00`, `1:02:03` or `00:45:00.5`."""
    parts = [_number(part) or 0 for part in text.split(":")]
    if not 1 <= len(parts) <= 3:
        raise AppError.invalid("time", f"{text[:40]!r} is not a duration")
    seconds = 0.0
    for part in parts:
        seconds = seconds * 60 + part
    return seconds


def _notes(*texts: str) -> str:
    return "\n".join(stripped for text in texts if (stripped := text.strip()))


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""
