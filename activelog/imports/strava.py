"""Strava's activities.csv.

Strava names columns twice and in the language of the account, so its columns go by their places;
it is known by the two pairs of columns that share a name in every language. Distances of its second
pair are in metres, those of the first in kilometres, but for swims in metres.
"""

from collections.abc import Sequence

from activelog.imports.cells import activity_kind, cell, date_of, notes_of, number, whole
from activelog.imports.source import Fields, Format

_DATE, _NAME, _TYPE, _DESCRIPTION, _ELAPSED, _KILOMETRES = 1, 2, 3, 4, 5, 6
_ELAPSED_AGAIN, _MOVING, _METRES, _CALORIES = 15, 16, 17, 34


def detect(names: Sequence[str]) -> Format | None:
    return Format("strava", len(names), _parse) if _is_strava(names) else None


def _is_strava(names: Sequence[str]) -> bool:
    if len(names) > _METRES:
        return names[_ELAPSED] == names[_ELAPSED_AGAIN] and names[_KILOMETRES] == names[_METRES]
    english = ["activity id", "activity date", "activity name", "activity type"]
    return len(names) > _KILOMETRES and list(names[:4]) == english


def _parse(cells: Sequence[str]) -> Fields:
    kind = activity_kind(cells[_TYPE])
    seconds = _number_by_place(cell(cells, _MOVING)) or _number_by_place(cells[_ELAPSED]) or 0
    metres = _number_by_place(cell(cells, _METRES))
    if metres is None:
        metres = (_number_by_place(cells[_KILOMETRES]) or 0) * (1 if kind == "swim" else 1000)
    return {
        "activity_type": kind,
        "activity_date": date_of(cells[_DATE]),
        "duration_minutes": round(seconds / 60),
        "distance_km": metres / 1000,
        "calories": whole(cell(cells, _CALORIES)),
        "notes": notes_of(cells[_NAME], cells[_DESCRIPTION]),
    }


def _number_by_place(text: str) -> float | None:
    """Strava marks no thousands, so a lone comma is a decimal one."""
    return number(text if "." in text else text.replace(",", "."))
