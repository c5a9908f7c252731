"""Which column is what: by its name, in the languages that trackers and people use."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from activelog.base.errors import AppError, Permanent
from activelog.imports import words
from activelog.imports.cells import LONGEST, is_clock, is_duration, is_empty, number, seconds_of
from activelog.imports.dates import has_clock_time, looks_like_date
from activelog.imports.kinds import is_known
from activelog.imports.words import plain

# The meanings, those that a person may name in `columns=` first.
CHOICES = ("date", "start", "duration", "moving", "distance", "type", "title", "notes", "calories",
           "tags", "pace")  # fmt: skip
_DISTANCE_UNITS = {
    name: unit
    for unit, names in {
        "km": "km kms kilometer kilometers kilometre kilometres kilometros chilometri 公里 千米",
        "mi": "mi mile miles meilen millas miglia",
        "m": "m meter meters metre metres metros metri 米",
        "yd": "yd yds yard yards",
    }.items()
    for name in names.split()
}
_TIME_UNITS: dict[str, float] = {
    name: seconds
    for seconds, names in {
        0.001: "ms milliseconds",
        1: "s sec secs second seconds sekunden segundos secondes secondi 秒",
        60: "min mins minute minutes minuten minutos minuti minuter",
        3600: "h hr hrs hour hours stunden std horas heures ore",
    }.items()
    for name in names.split()
}
METRES = {"km": 1000.0, "mi": 1609.344, "m": 1.0, "yd": 0.9144}
_SPEED_UNITS = {"mph": "mi", "mih": "mi", "kmh": "km", "kph": "km", "ms": "m"}
_PACE_UNITS = {"minkm": "km", "km": "km", "minmi": "mi", "minmile": "mi", "mi": "mi", "mile": "mi"}
_CELL_UNIT = re.compile(r"([\d.,\s'’]*\d)\s*([^\W\d_]+)\.?")
_CLOCK_FORM = re.compile(r"\b(?:h{1,2}:mm|mm:ss|m:ss)\b", re.IGNORECASE)
_IN_NAME = re.compile(r"[(\[]([^)\]]*)[)\]]")


@cache
def _names() -> dict[str, list[str]]:
    """By meaning; the words of columns.toml."""
    return {meaning: words.listed(names) for meaning, names in words.load("columns").items()}


@cache
def _meanings() -> dict[str, list[str]]:
    """By name."""
    found: dict[str, list[str]] = {}
    for meaning, names in _names().items():
        for name in names:
            found.setdefault(name, []).append(meaning)
    return found


@dataclass(frozen=True)
class Columns:
    """`places` of what is known, and the units that the header names: kilometres, miles, metres or
    yards of the distance, the speed and the pace, seconds of a unit of the duration."""

    places: Mapping[str, int]
    distance_unit: str = ""
    speed_unit: str = ""
    pace_unit: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)  # by meaning
    parts: Mapping[int, float] = field(default_factory=dict)  # seconds by place: hours, minutes, …
    are_hours_first: bool | None = None  # `Duration (h:mm)`
    are_kilojoules: bool = False  # calories
    unread: tuple[str, ...] = ()  # named like what we know, and left out: why

    def __contains__(self, meaning: str) -> bool:
        return meaning in self.places

    @property
    def calories_factor(self) -> float:
        """By which calories are what the column says: it may say kilojoules."""
        return 1 / 4.184 if self.are_kilojoules else 1

    @property
    def pace_factor(self) -> float:
        """By which a distance in its unit is one in the pace's."""
        if self.distance_unit and self.pace_unit:
            return METRES[self.distance_unit] / METRES[self.pace_unit]
        return 1


def named(name: str) -> tuple[str, str]:
    """A header's name and its unit: `Distance (km)`, `duration_seconds`, `Weight kg`."""
    if found := _IN_NAME.search(name):
        return plain(name[: found.start()] + name[found.end() :]), plain(found[1])
    words = [word for word in re.split(r"[\s_/]+", name.strip()) if word]
    if len(words) > 1 and plain(words[-1]) in _DISTANCE_UNITS | _TIME_UNITS:
        return plain("".join(words[:-1])), plain(words[-1])
    return plain(name), ""


def find_columns(header: Sequence[str], sample: Sequence[Sequence[str]]) -> Columns:
    """What each column means, by its name and by whether the cells of a sample suit it."""
    places: dict[str, int] = {}
    options = [(place, meaning) for place, name in enumerate(header)
               for meaning in _meanings().get(named(name)[0], ())]  # fmt: skip
    ranked = sorted(options, key=lambda one: (*_rank(one[1], named(header[one[0]])[0]), one[0]))
    for place, meaning in ranked:
        if meaning not in places and place not in places.values():
            cells = [row[place] for row in sample if place < len(row) and not is_empty(row[place])]
            if _suits(meaning, cells):
                places[meaning] = place
    unread = tuple(_unread(header, options, places))
    columns = _with_units(header, _settle_times(header, places, sample))
    return replace(columns, unread=unread)


def _unread(
    header: Sequence[str], options: Sequence[tuple[int, str]], places: Mapping[str, int]
) -> Iterator[str]:
    """What is left of `options`, (place, meaning), and why."""
    for place, meaning in options:
        if place in places.values() or meaning not in ("distance", "duration", "calories"):
            continue
        if meaning not in places:
            yield f"the column {header[place]!r} was not read: few of its cells look like that"
        elif meaning == "distance":
            taken = header[places[meaning]]
            yield f"the column {header[place]!r} was not read, since {taken!r} was"


def chosen_columns(header: Sequence[str], text: str) -> Columns:
    """Of `date=Datum,distance=Km`, or by number, `date=#1`. Raises Permanent for a name that the
    header does not have."""
    places: dict[str, int] = {}
    for choice in text.split(","):
        meaning, _, name = choice.partition("=")
        if meaning.strip() not in CHOICES:
            raise Permanent(f"columns: {meaning.strip()!r} is none of {', '.join(CHOICES)}")
        if meaning.strip() in places:
            raise Permanent(f"columns: {meaning.strip()} is said twice")
        place = _place(header, name.strip())
        if place is None:
            raise Permanent(f"columns: the file has no column {name.strip()!r}")
        places[meaning.strip()] = place
    return _with_units(header, places)


def _place(header: Sequence[str], name: str) -> int | None:
    numbers = [f"#{place + 1}" for place in range(len(header))]
    for names, wanted in ((header, name), (numbers, name), (list(map(plain, header)), plain(name))):
        if wanted in names:
            return names.index(wanted)
    return None


def _rank(meaning: str, name: str) -> tuple[int, bool, int]:
    """What a file cannot do without chooses first; a name that may mean something else comes behind
    those that cannot, and of these the one that columns.toml has first."""
    order = ("exercise", "date", "moving", "distance", "pace", "speed", "duration", "start", "type")
    place = order.index(meaning) if meaning in order else len(order)
    names = _names()[meaning]
    return place, len(_meanings()[name]) > 1, names.index(name)


def _suits(meaning: str, cells: Sequence[str]) -> bool:
    if not cells:
        return meaning != "date"
    test = _TESTS.get(meaning)
    return test is None or sum(map(test, cells)) * 2 >= len(cells)


def _is_number(text: str) -> bool:
    try:
        return number(text) is not None
    except AppError:
        return False


def split_unit(text: str) -> tuple[str, str]:
    """A cell like `6.2 mi`: its number, and km, mi, m, yd or nothing."""
    found = _CELL_UNIT.fullmatch(text.strip()) if len(text) <= LONGEST else None
    unit = ("km" if found[2].lower() == "k" else unit_named(found[2])) if found else ""
    return (found[1], unit) if found and unit else (text.strip(), "")


def unit_named(text: str) -> str:
    return _DISTANCE_UNITS.get(plain(text), "")


def _is_distance(text: str) -> bool:
    return _is_number(split_unit(text)[0])


def _is_time(text: str) -> bool:
    return is_duration(text) or _is_number(text) or _is_clock_time(text)


def _is_clock_time(text: str) -> bool:
    return has_clock_time(text) and not looks_like_date(text)


_TESTS = {
    "date": looks_like_date,
    "start": _is_clock_time,
    "end": lambda text: looks_like_date(text) or _is_clock_time(text),
    "duration": _is_time,
    "moving": _is_time,
    "distance": _is_distance,
    "pace": lambda text: is_clock(text.split("/")[0].split()[0]) if text.split() else False,
    "speed": _is_number,
    "stride": _is_number,
    "cadence": _is_number,
    "exercise": lambda text: not is_known(text),
    "unit": lambda text: bool(unit_named(text)),
    "steps": _is_number,
    "temperature": _is_number,
    "calories": _is_number,
}


def _settle_times(
    header: Sequence[str], places: dict[str, int], sample: Sequence[Sequence[str]]
) -> dict[str, int]:
    """`Time` is a duration or the time of day: the latter with AM and PM, or when distance times
    pace says that nothing took so long."""
    place = places.get("duration")
    if place is None or "start" in places:
        return places
    cells = [row[place] for row in sample if place < len(row) and not is_empty(row[place])]
    with_halves = sum(_is_clock_time(text) and not is_duration(text) for text in cells)
    if with_halves * 2 > len(cells):
        return _moved(places, "duration", "start")
    factor = _with_units(header, places).pace_factor
    if "pace" in places and "distance" in places and _contradict(places, sample, factor):
        return _moved(places, "duration", "start")
    return places


def _moved(places: dict[str, int], old: str, new: str) -> dict[str, int]:
    return {new if meaning == old else meaning: place for meaning, place in places.items()}


def _contradict(places: Mapping[str, int], sample: Sequence[Sequence[str]], factor: float) -> bool:
    """Whether most rows took another time than distance times pace; `factor` makes the distance's
    unit the pace's."""
    wrong = right = 0
    for row in sample:
        try:
            took = seconds_of(row[places["duration"]])
            pace = seconds_of(row[places["pace"]].split("/")[0])
            distance = number(row[places["distance"]])
        except (AppError, IndexError):
            continue
        if took and pace and distance:
            share = took / (pace * distance * factor)
            if any(0.7 < share * times < 1.4 for times in (1, 60, 1 / 60)):
                right += 1
            else:
                wrong += 1
    return wrong > right


def _with_units(header: Sequence[str], places: dict[str, int]) -> Columns:
    units = {meaning: _unit(header[place]) for meaning, place in places.items()}
    said = [_TIME_UNITS[units[meaning]] for meaning in ("duration", "moving")
            if units.get(meaning) in _TIME_UNITS]  # fmt: skip
    seconds = dict.fromkeys(("duration", "moving"), float(said[0])) if said else {}
    parts = {place: _TIME_UNITS[name] for place, header_name in enumerate(header)
             if (name := named(header_name)[0]) in _TIME_UNITS and name != "ms"}  # fmt: skip
    clock = _CLOCK_FORM.search(header[places["duration"]]) if "duration" in places else None
    return Columns(
        places,
        _DISTANCE_UNITS.get(units.get("distance", ""), ""),
        _SPEED_UNITS.get(units.get("speed", ""), ""),
        _PACE_UNITS.get(units.get("pace", ""), ""),
        seconds,
        parts if len(set(parts.values())) > 1 else {},
        clock[0].lower().startswith("h") if clock else None,
        units.get("calories") == "kj",
    )


def _unit(name: str) -> str:
    """That a name says, or is: `km`, `minutes`."""
    bare, unit = named(name)
    return unit or bare
