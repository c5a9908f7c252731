"""The rows of a table become Drafts.

Two passes ask all rows how they are to be read (decimal marks, dates, durations; then units), a
third one reads them. All of it in constant memory.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from activelog.base.errors import AppError
from activelog.imports import cells
from activelog.imports.cells import Decimals
from activelog.imports.columns import METRES, split_unit, unit_named
from activelog.imports.dates import DateReader, DateSurvey, looks_like_date
from activelog.imports.kinds import activity_kind
from activelog.imports.layouts import Layout
from activelog.imports.model import Choices, Draft, Question, Refused, Unit
from activelog.imports.table import Row, Table
from activelog.imports.units import Measured, Units, UnitSurvey

_NUMBERS = ("distance", "duration", "moving", "calories", "speed", "stride", "cadence", "steps",
            "temperature")  # fmt: skip
_MOST_KILOMETRES = 300  # more than that in a column without a unit are metres
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_KEPT = 1000  # rows of which medians are taken
_UNREADABLE = (AppError, ValueError, OverflowError)  # a row is


@dataclass(frozen=True)
class Reader:
    """Reads the cells of a table's rows; `remarks` are said in the report."""

    layout: Layout
    choices: Choices
    dates: DateReader
    commas: dict[str, bool | None]  # by meaning: whether a lone comma is a decimal one
    duration_unit: float = 60  # seconds, of durations that are plain numbers
    clock_factor: float = 1  # of `1:30`: 60 when it is an hour and a half
    long_clock_factor: float = 1  # of `43:10:00`: 1/60 when a spreadsheet took minutes for hours
    units: Units = field(default_factory=lambda: Units("km", ""))
    remarks: tuple[str, ...] = ()

    def text(self, row: Row, meaning: str) -> str:
        return cells.cell(row.cells, self.layout.columns.places.get(meaning))

    def number(self, row: Row, meaning: str) -> float | None:
        return cells.number(self.text(row, meaning), comma=self.commas.get(meaning))

    def moment(self, row: Row) -> datetime:
        moment, start = self.dates.read(self.text(row, "date")), self.text(row, "start")
        if cells.is_empty(start) or (moment.hour, moment.minute) != (0, 0):
            return moment
        return self.dates.at_time(moment, start)

    def kind(self, row: Row) -> str:
        return activity_kind(self.text(row, "type")) or (self.choices.type or "")

    def seconds(self, row: Row) -> float | None:
        """The moving time, else the duration, else what the end or the pace tells. Of exercises the
        end comes first, since each has a duration of its own."""
        if "exercise" in self.layout.columns and (end := self.text(row, "end").strip()):
            return self._until(row, end)
        if self.layout.columns.parts:
            return self._sum_of_parts(row)
        found = self.moving(row) or self._duration(row, "duration")
        if found is not None:
            return found
        if end := self.text(row, "end").strip():
            return self._until(row, end)
        pace, distance = self.pace(row), self._distance(row)
        return pace * distance * self.layout.columns.pace_factor if pace and distance else None

    def moving(self, row: Row) -> float | None:
        return self._duration(row, "moving") or None

    def pace(self, row: Row) -> float | None:
        words = self.text(row, "pace").split("/")[0].split()
        if not words or not cells.is_clock(words[0]):
            return None
        found = cells.seconds_of(words[0]) or 0
        # Nobody needs an hour for a unit: a spreadsheet took minutes for hours.
        return found / 60 if found >= 3600 else found

    def measured(self, row: Row) -> Measured:
        number = self._optional
        return Measured(
            self.kind(row), self._distance(row) or 0, self.seconds(row), self.pace(row),
            number(row, "speed"), number(row, "stride"), number(row, "cadence"),
            number(row, "steps"), number(row, "temperature"),
        )  # fmt: skip

    def metres(self, row: Row) -> float | None:
        """The second distance of Strava, when a row has none, is its first one."""
        layout = self.layout
        if layout.kilometres is not None and not self.text(row, "distance").strip():
            text = cells.cell(row.cells, layout.kilometres)
            found = cells.number(text, comma=self.commas.get("kilometres"))
            return None if found is None else found * (1 if self.kind(row) == "swim" else 1000)
        distance = self._distance(row)
        if distance is None:
            return None
        said = self.text(row, "unit").strip()
        unit = split_unit(self.text(row, "distance"))[1] or unit_named(said)
        if not unit and distance and not cells.is_empty(said):
            raise AppError.invalid("unit", f"{said[:40]!r} is not a unit that we know")
        return distance * METRES[unit] if unit else self.units.metres(self.measured(row))

    def _distance(self, row: Row) -> float | None:
        text = split_unit(self.text(row, "distance"))[0]
        return cells.number(text, comma=self.commas.get("distance"))

    def kilometres(self, row: Row) -> float | None:
        """What the distance is likely to be, before the unit is known: to judge durations by."""
        distance = self._distance(row)
        unit = split_unit(self.text(row, "distance"))[1] or self.layout.columns.distance_unit
        if distance is None or unit:
            return None if distance is None else distance * METRES[unit] / 1000
        return distance / 1000 if distance > _MOST_KILOMETRES else distance

    def _sum_of_parts(self, row: Row) -> float | None:
        found = [(cells.number(cells.cell(row.cells, place)), unit)
                 for place, unit in self.layout.columns.parts.items()]  # fmt: skip
        known = [amount * unit for amount, unit in found if amount is not None]
        return sum(known) if known else None

    def _optional(self, row: Row, meaning: str) -> float | None:
        try:
            return self.number(row, meaning)
        except AppError:
            return None

    def _duration(self, row: Row, meaning: str) -> float | None:
        unit = self.layout.columns.seconds.get(meaning, self.duration_unit)
        text = self.text(row, meaning)
        found = cells.seconds_of(text, unit, comma=self.commas.get(meaning))
        if found is None:
            return None
        factors = {1: self.clock_factor, 2: self.long_clock_factor}
        return found * factors.get(text.count(":"), 1)

    def _until(self, row: Row, end: str) -> float | None:
        begin = self.moment(row)
        until = self.dates.at_time(begin, end)
        if until < begin and not looks_like_date(end):
            until += timedelta(days=1)
        seconds = until.timestamp() - begin.timestamp()
        return seconds if seconds >= 0 else None


def make_reader(table: Table, layout: Layout, choices: Choices, now: datetime) -> Reader:
    """Asks all rows. Raises Question when the file may be read in two ways."""
    reader, survey = _survey_forms(table, layout, choices, now)
    if layout.name == "table":
        reader = _survey_durations(table, reader)
    return _with_units(table, reader, survey)


def _survey_forms(
    table: Table, layout: Layout, choices: Choices, now: datetime
) -> tuple[Reader, DateSurvey]:
    dates = DateSurvey(now)
    decimals: dict[str, Decimals] = {}
    places = layout.columns.places
    columns = [(name, places[name]) for name in _NUMBERS if name in places]
    if layout.kilometres is not None:
        columns.append(("kilometres", layout.kilometres))
    for row in _rows(table):
        dates.add(cells.cell(row.cells, places.get("date")))
        for name, place in columns:
            decimals.setdefault(name, Decimals()).add(cells.cell(row.cells, place))
    fallback = _file_comma(table, layout, decimals)
    commas = {name: one.comma if one.comma is not None else fallback
              for name, one in decimals.items()}  # fmt: skip
    zone = UTC if layout.is_utc or not choices.zone else ZoneInfo(choices.zone)
    return Reader(layout, choices, dates.reader(choices.dates, zone), commas), dates


def _file_comma(table: Table, layout: Layout, decimals: dict[str, Decimals]) -> bool | None:
    """Of a column that tells nothing, like one of `5,000`: as the others of the file."""
    known = {one.comma for one in decimals.values()} - {None}
    if len(known) == 1:
        return known.pop()
    if layout.name in ("activelog", "strava"):
        return True  # neither marks thousands
    if table.delimiter == ";":
        return True
    return False if layout.is_english else None


@dataclass
class _Durations:
    """Of a column: kilometres an hour that each way of reading makes, and what has no distance."""

    plain: list[float] = field(default_factory=list)  # as minutes
    short: list[float] = field(default_factory=list)  # 1:30 as minutes and seconds
    long: list[float] = field(default_factory=list)  # 1:30:00
    numbers: list[float] = field(default_factory=list)
    first_parts: list[int] = field(default_factory=list)  # of short ones
    has_seconds: bool = False  # of long ones
    unmeasured: str = ""  # a short one without a distance


def _survey_durations(table: Table, reader: Reader) -> Reader:
    """Whether plain numbers are minutes, hours or seconds, and `1:30` minutes or hours: what makes
    speeds that people have. Raises Question where nothing tells."""
    columns = reader.layout.columns
    if columns.parts:
        return reader
    if columns.are_hours_first is not None:
        return replace(reader, clock_factor=60 if columns.are_hours_first else 1)
    found = _Durations()
    for row in _rows(table):
        with suppress(*_UNREADABLE):
            _add_duration(found, reader, row)
    reader = _settle_short(reader, found)
    if found.long and not found.has_seconds and median(found.long) < 1.2:
        reader = _with_remark(reader, "durations like 43:10:00 were read as minutes and seconds",
                              long_clock_factor=1 / 60)  # fmt: skip
    return reader if "duration" in columns.seconds else _settle_plain(reader, found)


def _add_duration(found: _Durations, reader: Reader, row: Row) -> None:
    text = reader.text(row, "duration").strip() or reader.text(row, "moving").strip()
    seconds, kilometres = reader.seconds(row), reader.kilometres(row)
    if not seconds or len(found.numbers) + len(found.first_parts) + len(found.long) > _KEPT:
        return
    speeds = [kilometres / seconds * 3600] if kilometres else []
    if text.count(":") == 2:
        found.long += speeds
        found.has_seconds |= not text.endswith(":00")
    elif text.count(":") == 1:
        found.short += speeds
        found.first_parts.append(int(text.split(":")[0]))
        found.unmeasured = found.unmeasured or ("" if kilometres else text)
    elif ":" not in text and not cells.is_duration(text):
        found.plain += speeds
        found.numbers.append(seconds / 60)


def _settle_short(reader: Reader, found: _Durations) -> Reader:
    if not found.first_parts or found.long or max(found.first_parts) > 23:
        return reader
    hours = "durations like 1:30 were read as hours and minutes"
    if found.short and median(found.short) > 45:
        if median(found.short) / 60 < 2:
            raise Question("the column of durations looks like times of day: say which column is"
                           " what, like columns=date=Date,start=Time,duration=...")  # fmt: skip
        return _with_remark(reader, hours, clock_factor=60)
    if not found.short and max(found.first_parts) < 10:
        raise Question(
            f"durations like {found.unmeasured} may be minutes or hours: name the column"
            " Duration (h:mm) or Duration (mm:ss)"
        )
    return reader


def _settle_plain(reader: Reader, found: _Durations) -> Reader:
    if not found.numbers:
        return reader
    unit, name = _plausible_unit(found)
    if unit == 60:
        return reader
    remark = f"durations without a unit were read as {name}, for the speeds that they make"
    return _with_remark(reader, remark, duration_unit=unit)


def _plausible_unit(found: _Durations) -> tuple[float, str]:
    units = ((60.0, "minutes"), (3600.0, "hours"), (1.0, "seconds"), (86400.0, "days"),
             (0.001, "milliseconds"))  # fmt: skip
    if found.plain:
        speed = median(found.plain)
        return next((one for one in units if 1 <= speed * 60 / one[0] <= 60), units[0])
    usual = median(found.numbers)
    if usual >= 600:
        return units[2]
    return units[1] if usual < 5 else units[0]


def _with_remark(reader: Reader, remark: str, **changes: Any) -> Reader:
    return replace(reader, remarks=(*reader.remarks, remark), **changes)


def _with_units(table: Table, reader: Reader, dates: DateSurvey) -> Reader:
    layout, columns = reader.layout, reader.layout.columns
    if "distance" not in columns:
        return reader
    if layout.is_own or (columns.distance_unit == "m" and layout.name == "strava"):
        return replace(reader, units=Units("km" if layout.is_own else "m", ""))
    if columns.distance_unit:
        said = Units(columns.distance_unit, "the header says so", is_said=True,
                     metre_kinds=layout.metre_kinds)  # fmt: skip
        return replace(reader, units=said)
    if reader.choices.units:
        metre_kinds = _surveyed(table, reader, dates).metre_kinds if layout.name == "garmin" else ()
        chosen = Units(reader.choices.units, "you said so", metre_kinds=frozenset(metre_kinds))
        return replace(reader, units=chosen)
    if by_speed := _unit_by_speed(table, reader):
        return replace(reader, units=by_speed)
    return replace(reader, units=_surveyed(table, reader, dates))


def _surveyed(table: Table, reader: Reader, dates: DateSurvey) -> Units:
    layout = reader.layout
    swims = frozenset({"swim"}) if layout.name == "garmin" else layout.metre_kinds
    survey = UnitSurvey(swims)
    for row in _rows(table):
        try:
            survey.add(reader.measured(row), row.line)
        except _UNREADABLE:
            continue
    if reader.choices.units:
        survey.votes.clear()
    return survey.units(_hints(table, reader, survey, dates))


def _unit_by_speed(table: Table, reader: Reader) -> Units | None:
    """Distance = speed x time, where the header says the speed's unit, or where it is in metres a
    second, as Strava's is."""
    columns = reader.layout.columns
    if columns.pace_unit in ("km", "mi") and not columns.speed_unit:
        return Units(columns.pace_unit, "the header says the pace's unit")
    if "speed" not in columns:
        return None
    votes: Counter[str] = Counter()
    for row in _rows(table):
        try:
            found = reader.measured(row)
        except _UNREADABLE:
            continue
        if found.speed and found.seconds and found.distance:
            votes[_unit_of(found.distance, found.speed * found.seconds, columns.speed_unit)] += 1
    votes.pop("", None)
    if not votes:
        return None
    unit = votes.most_common(1)[0][0]
    return Units(unit, "distance, speed and time agree so")


def _unit_of(distance: float, way: float, speed_unit: str) -> str:
    """`way` is speed times seconds."""
    share = distance / way
    if speed_unit in ("km", "mi") and 0.8 < share * 3600 < 1.25:
        return speed_unit
    if speed_unit in ("", "m"):
        if 0.8 < share < 1.25:
            return "m"
        if 0.8 < share * 1000 < 1.25:
            return "km"
        if 0.8 < share * 1609.344 < 1.25:
            return "mi"
    return ""


def _hints(
    table: Table, reader: Reader, survey: UnitSurvey, dates: DateSurvey
) -> Iterator[tuple[Unit, str]]:
    if not reader.layout.is_english:
        yield "km", "the file's language is one of countries that count in kilometres"
    if table.delimiter == ";" or reader.commas.get("distance"):
        yield "km", "the file's decimal comma is one of countries that count in kilometres"
    pace = median(survey.paces) if survey.paces else None
    shown = f"a usual pace of {pace // 60:.0f}:{pace % 60:02.0f} is one" if pace else ""
    if pace and pace > 450:
        yield "mi", f"{shown} of miles"
    if pace and pace < 300:
        yield "km", f"{shown} of kilometres"
    is_american = dates.ambiguous > 0 and reader.dates.order == "mdy"
    if reader.layout.name == "table" and is_american:
        yield "mi", "the month stands before the day, as in countries that count in miles"
    if pace:
        yield "km", f"{shown} of kilometres"


def _rows(table: Table) -> Iterator[Row]:
    return (row for row in table.rows() if isinstance(row, Row))


def read_drafts(table: Table, reader: Reader) -> Iterator[Draft | Refused]:
    """A Draft for each row, or for all rows of a workout that is a list of exercises."""
    if "exercise" in reader.layout.columns:
        yield from _workouts(table, reader)
        return
    for row in table.rows():
        yield row if isinstance(row, Refused) else _draft(reader, row)


def _draft(reader: Reader, row: Row) -> Draft | Refused:
    try:
        seconds, metres = reader.seconds(row), reader.metres(row)
        if not seconds and not metres:
            return Refused(row.line, "has neither a duration nor a distance", row.says)
        return Draft(
            row.line,
            reader.kind(row),
            reader.moment(row),
            seconds,
            metres,
            title=reader.text(row, "title").strip(),
            notes=reader.text(row, "notes").strip(),
            calories=_calories(reader, row),
            tags=_tags(reader.text(row, "tags")),
            photos=_media(row),
            moving=reader.moving(row),
        )
    except _UNREADABLE as error:
        return _refused(row, error)


def _refused(row: Row, error: Exception) -> Refused:
    reason = str(error) if isinstance(error, AppError) else "has a value that cannot be read"
    return Refused(row.line, reason, row.says)


def _joined_seconds(workout: float | None, row: float | None) -> float | None:
    """Each row says the workout's time, or the time of its own set."""
    if workout is None or row is None:
        return row if workout is None else workout
    return workout if workout == row else workout + row


def _calories(reader: Reader, row: Row) -> int | None:
    found = reader.number(row, "calories")
    if found is None or found <= 0:
        return None
    return round(found * reader.layout.columns.calories_factor)


def _media(row: Row) -> tuple[str, ...]:
    """Of a row of Strava's archive: `media/a.jpg|media/b.mp4`, in a column of any language."""
    cell = next((text for text in row.cells if text.startswith("media/")), "")
    return tuple(name for name in cell.split("|") if name.lower().endswith(_PICTURES))


def _tags(text: str) -> tuple[str, ...]:
    return tuple(tag for part in text.split(",") if (tag := part.strip()))


def _workouts(table: Table, reader: Reader) -> Iterator[Draft | Refused]:
    """Rows that begin at the same time are the exercises of one workout."""
    current: Draft | None = None
    for row in table.rows():
        found = row if isinstance(row, Refused) else _workout_row(reader, row)
        if isinstance(found, Refused):
            yield found
        elif current and (current.moment, current.title) == (found.moment, found.title):
            current = _joined(current, found)
        else:
            if current:
                yield current
            current = found
    if current:
        yield current


def _workout_row(reader: Reader, row: Row) -> Draft | Refused:
    try:
        return Draft(
            row.line, "strength", reader.moment(row), reader.seconds(row), reader.metres(row),
            title=reader.text(row, "title").strip(), notes=reader.text(row, "notes").strip(),
        )  # fmt: skip
    except _UNREADABLE as error:
        return _refused(row, error)


def _joined(workout: Draft, row: Draft) -> Draft:
    return replace(
        workout,
        metres=(workout.metres or 0) + (row.metres or 0),
        seconds=_joined_seconds(workout.seconds, row.seconds),
        notes=workout.notes or row.notes,
    )
