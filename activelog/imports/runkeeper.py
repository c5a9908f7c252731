"""What RunKeeper exports."""

from collections.abc import Callable, Sequence

from activelog.imports.cells import activity_kind, date_of, notes_of, number, seconds_of, whole
from activelog.imports.source import Fields, Format


def detect(names: Sequence[str]) -> Format | None:
    if {"activity id", "date", "type", "duration"} <= set(names):
        return Format("runkeeper", len(names), _parser(names))
    return None


def _parser(names: Sequence[str]) -> Callable[[Sequence[str]], Fields]:
    distance = next((name for name in names if name.startswith("distance")), None)
    factor = 1.609344 if distance and "(mi)" in distance else 1

    def parse(cells: Sequence[str]) -> Fields:
        row = dict(zip(names, cells, strict=True))
        return {
            "activity_type": activity_kind(row["type"]),
            "activity_date": date_of(row["date"]),
            "duration_minutes": round(seconds_of(row["duration"]) / 60),
            "distance_km": (number(row[distance]) or 0) * factor if distance else 0,
            "calories": whole(row.get("calories burned", "")),
            "notes": notes_of(row.get("route name", ""), row.get("notes", "")),
        }

    return parse
