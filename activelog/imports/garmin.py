"""What Garmin Connect exports."""

from collections.abc import Callable, Sequence

from activelog.imports.cells import activity_kind, date_of, number, seconds_of, whole
from activelog.imports.source import Fields, Format


def detect(names: Sequence[str]) -> Format | None:
    if {"activity type", "date", "title", "time", "distance"} <= set(names):
        return Format("garmin", len(names), _parser(names))
    return None


def _parser(names: Sequence[str]) -> Callable[[Sequence[str]], Fields]:
    def parse(cells: Sequence[str]) -> Fields:
        row = dict(zip(names, cells, strict=True))
        kind = activity_kind(row["activity type"])
        distance = number(row["distance"]) or 0
        return {
            "activity_type": kind,
            "activity_date": date_of(row["date"]),
            "duration_minutes": round(seconds_of(row["time"]) / 60),
            # Garmin Connect counts swims in metres, everything else in kilometres.
            "distance_km": distance / 1000 if kind == "swim" else distance,
            "calories": whole(row.get("calories", "")),
            "notes": row["title"].strip(),
        }

    return parse
