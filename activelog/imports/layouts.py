"""Whose table it is: Strava's, Garmin's, RunKeeper's, ours, or anybody's."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from activelog.base.errors import Permanent
from activelog.imports.cells import is_duration, is_empty
from activelog.imports.columns import CHOICES, Columns, chosen_columns, find_columns, named
from activelog.imports.dates import looks_like_date
from activelog.imports.model import Choices
from activelog.imports.table import Table, sample
from activelog.imports.words import plain

OWN_REQUIRED = ("activity_type", "duration_minutes", "activity_date")
_OWN_MEANINGS = {
    "id": "id", "activity_type": "type", "duration_minutes": "duration", "distance_km": "distance",
    "activity_date": "date", "tags": "tags", "notes": "notes", "calories": "calories",
    "title": "title", "start_local": "start", "moving_minutes": "moving", "source": "source",
}  # fmt: skip
# Garmin's third column, also as spreadsheets translate it.
_BOOLEANS = {
    *("true", "false", "wahr", "falsch", "vrai", "faux", "verdadero", "falso", "vero"),
    *("verdadeiro", "waar", "onwaar", "sant", "sann", "sand", "falskt", "usann", "falsk"),
    *("tosi", "epatosi", "prawda", "falsz", "pravda", "nepravda", "igaz", "hamis"),
    *("да", "нет", "истина", "ложь"),
}
_STRAVA_2018 = ["id", "date", "name", "type", "description", "elapsed_time", "distance"]
_STRAVA_NAMES = ["activity id", "activity date", "activity name", "activity type"]
_RUNKEEPER = {"date", "type", "route name", "duration", "average pace"}


@dataclass(frozen=True)
class Layout:
    """`kilometres` is Strava's first distance, for rows without the second one."""

    name: str
    columns: Columns
    kilometres: int | None = None
    metre_kinds: frozenset[str] = field(default_factory=frozenset)  # types that count in metres
    is_english: bool = True

    @property
    def is_own(self) -> bool:
        return self.name == "activelog"

    @property
    def is_utc(self) -> bool:
        """Whose times are not those of the clocks where it happened."""
        return self.name in ("activelog", "strava")


def find_layout(table: Table, choices: Choices) -> Layout:
    """Raises Permanent for a file in which we find no dates, or no durations."""
    header = table.header
    if choices.columns:
        return Layout("table", chosen_columns(header, choices.columns))
    cells = sample(table)
    names = [" ".join(name.lower().split()) for name in header]
    for find in (_own, _strava, _garmin, _runkeeper):
        if found := find(names, header, cells):
            return found
    return _any_table(header, cells)


def _own(names: list[str], header: Sequence[str], sample: list[list[str]]) -> Layout | None:
    if not set(OWN_REQUIRED) <= set(header):
        if "activity_type" in header or "duration_minutes" in header:
            missing = [name for name in OWN_REQUIRED if name not in header]
            raise Permanent(f"the header has no column {', '.join(missing)}")
        return None
    unknown = [name for name in header if name not in _OWN_MEANINGS]
    if unknown or len(set(header)) < len(header):
        raise Permanent(
            f"the header has unknown or repeated columns: {', '.join(unknown or header)}"
        )
    places = {_OWN_MEANINGS[name]: place for place, name in enumerate(header)}
    return Layout("activelog", Columns(places, "km", seconds={"duration": 60}))


def _strava(names: list[str], header: Sequence[str], sample: list[list[str]]) -> Layout | None:
    """Strava names columns in the language of the account, and two of them twice: by them its exact
    layouts are known. What a person has trimmed goes by its names."""
    if names[:7] == _STRAVA_2018:
        places = {"date": 1, "title": 2, "type": 3, "notes": 4, "duration": 5, "distance": 6}
        return Layout("strava", Columns(places, "m", seconds={"duration": 1}))
    places = {"date": 1, "title": 2, "type": 3, "notes": 4, "duration": 5}
    seconds = {"duration": 1.0, "moving": 1.0}
    again = _again(names)
    if again is not None:
        places |= {"moving": again + 1, "distance": again + 2}
        if again + 19 < len(names):
            places["calories"] = again + 19
        columns = Columns(places, "m", seconds=seconds)
        english = names[:4] == _STRAVA_NAMES
        return Layout("strava", columns, 6, frozenset({"swim"}), is_english=english)
    if names[:4] == _STRAVA_NAMES and names[5:7] == ["elapsed time", "distance"]:
        columns = Columns(places | {"distance": 6}, "km", seconds=seconds)
        return Layout("strava", columns, metre_kinds=frozenset({"swim"}))
    if _is_old_strava(names, sample):
        columns = Columns(places | {"distance": 6}, "km", seconds=seconds)
        return Layout("strava", columns, metre_kinds=frozenset({"swim"}), is_english=False)
    if "activity id" in names and "activity date" in names:
        return _trimmed_strava(header, sample)
    return None


def _is_old_strava(names: list[str], sample: list[list[str]]) -> bool:
    """In any language: an id, a date, and seconds before the distance; and the track's file."""
    return len(names) >= 8 and bool(sample) and all(
        len(cells) > 7 and cells[0].isdigit() and looks_like_date(cells[1]) and cells[5].isdigit()
        and any(text.startswith("activities/") for text in cells[7:] if text)
        for cells in sample[:5]
    )  # fmt: skip


def _trimmed_strava(header: Sequence[str], sample: list[list[str]]) -> Layout:
    """Its times are seconds; of two distances the last one is in metres."""
    columns = _complete(find_columns(header, sample))
    places = dict(columns.places)
    distances = [place for place, name in enumerate(header) if named(name)[0] == "distance"]
    unit = columns.distance_unit
    if len(distances) > 1:
        places["distance"], unit = distances[-1], unit or "m"
    return Layout("strava", replace(
        columns, places=places, distance_unit=unit, seconds={"duration": 1, "moving": 1},
    ))  # fmt: skip


def _again(names: list[str]) -> int | None:
    """Where the elapsed time stands the second time, followed by the moving time and a distance of
    the first one's name."""
    if len(names) < 10 or names[5] == names[6] or names[5] not in names[7:]:
        return None
    again = names.index(names[5], 7)
    is_pair = again + 2 < len(names) and names[again + 2] == names[6]
    return again if is_pair and names[5] else None


def _garmin(names: list[str], header: Sequence[str], sample: list[list[str]]) -> Layout | None:
    """Type, date, favourite, title, distance, calories and time come first in every language."""
    if len(names) < 7:
        return None
    english = names[:2] == ["activity type", "date"] and names[3:5] == ["title", "distance"]
    if not english and not (sample and all(map(_is_garmin_row, sample[:20]))):
        return None
    found = find_columns(header, sample).places
    evidence = {name: found[name] for name in ("pace", "stride", "cadence", "steps", "temperature")
                if name in found and found[name] > 6}  # fmt: skip
    places = {"type": 0, "date": 1, "title": 3, "distance": 4, "calories": 5, "duration": 6}
    return Layout("garmin", Columns(evidence | places), is_english=english)


def _is_garmin_row(cells: list[str]) -> bool:
    if len(cells) < 7:
        return False
    is_favourite = plain(cells[2]) in _BOOLEANS
    return is_favourite and looks_like_date(cells[1]) and (
        is_duration(cells[6]) or is_empty(cells[6])
    )  # fmt: skip


def _runkeeper(names: list[str], header: Sequence[str], sample: list[list[str]]) -> Layout | None:
    if "activity id" not in names and not set(names) >= _RUNKEEPER:
        return None
    if not {"date", "type", "duration"} <= set(names):
        return None
    columns = find_columns(header, sample)
    return Layout("runkeeper", columns) if {"date", "duration"} <= set(columns.places) else None


def _any_table(header: Sequence[str], sample: list[list[str]]) -> Layout:
    columns = _complete(find_columns(header, sample))
    return Layout("table", columns, is_english=_is_english(header))


def _complete(columns: Columns) -> Columns:
    """Raises Permanent when what every activity needs is missing."""
    if missing := missing_of(columns):
        raise Permanent(
            f"the header has no column {missing} that we know; say which column is what, like"
            f" columns=date=Datum,duration=Dauer (known: {', '.join(CHOICES)})"
        )
    return columns


def missing_of(columns: Columns) -> str:
    """What every activity needs and no column gives; "" for nothing."""
    if "date" not in columns:
        return "of dates"
    if "duration" in columns or "moving" in columns or "end" in columns:
        return ""
    if ("distance" in columns and "pace" in columns) or "exercise" in columns:
        return ""
    return "of durations"


def _is_english(header: Sequence[str]) -> bool:
    english = {"date", "time", "distance", "duration", "notes", "pace", "type", "title", "miles",
               "name", "activity", "day", "comments"}  # fmt: skip
    return any(plain(name.split("(")[0]) in english for name in header)
