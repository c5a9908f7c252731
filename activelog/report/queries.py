from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from activelog import database
from activelog.base.date_ranges import DateRange, Selection, as_much_before, range_before, so_far
from activelog.base.formatting import MOST_TYPES
from activelog.base.units import Habits, Units, WeekStart
from activelog.database import Conn
from activelog.report.model import (
    MOST_ROWS,
    Report,
    Row,
    Slot,
    Totals,
    TypeTotals,
    Unit,
    fill,
    unit_of,
)

_SQL = database.queries("report")


async def read(conn: Conn, selection: Selection, dates: DateRange, today: date) -> Report:
    """`selection` says whose and which; its times are the two ranges of dates. What is not over
    `today` is compared with as much of what was before. For figures that agree, in one snapshot:
    call it in a `database.snapshot`."""
    seen = so_far(dates, today)
    before, unit = range_before(dates), unit_of(dates)
    person = await database.one(conn, _SQL["person"], {"user_id": selection.user_id}, Person)
    person = person or Person("", "km", "monday")
    habits = Habits(person.units, person.week_start)
    return Report(
        name=person.name,
        units=person.units,
        dates=dates,
        seen=seen,
        before=before,
        unit=unit,
        totals=await _totals(conn, selection, dates),
        totals_before=await _totals(conn, selection, as_much_before(dates, seen)),
        slots=await _slots(conn, selection, dates, unit, habits),
        slots_before=await _slots(conn, selection, before, unit, habits),
        types=await _types(conn, selection, dates),
    )


async def rows(conn: Conn, selection: Selection, dates: DateRange) -> list[Row]:
    """In order of time, MOST_ROWS at most."""
    params = _params(selection, dates) | {"limit": MOST_ROWS}
    return await database.many(conn, _SQL["rows"], params, Row)


@dataclass(frozen=True)
class Person:
    name: str
    units: Units
    week_start: WeekStart


@dataclass(frozen=True)
class Photo:
    object_key: str
    activity_type: str
    local_time: datetime


async def photos(conn: Conn, selection: Selection, dates: DateRange, limit: int) -> list[Photo]:
    """In order of time."""
    params = _params(selection, dates) | {"limit": limit}
    return await database.many(conn, _SQL["photos"], params, Photo)


async def _totals(conn: Conn, selection: Selection, dates: DateRange) -> Totals:
    found = await database.one(conn, _SQL["totals"], _params(selection, dates), Totals)
    assert found is not None
    return found


async def _slots(
    conn: Conn, selection: Selection, dates: DateRange, unit: Unit, habits: Habits
) -> list[Slot]:
    shift = habits.week_shift if unit == "week" else 0
    params = _params(selection, dates) | {"unit": unit, "shift": shift}
    return fill(dates, unit, habits, await database.many(conn, _SQL["slots"], params, Slot))


async def _types(conn: Conn, selection: Selection, dates: DateRange) -> list[TypeTotals]:
    params = _params(selection, dates) | {"limit": MOST_TYPES}
    return await database.many(conn, _SQL["types"], params, TypeTotals)


def _params(selection: Selection, dates: DateRange) -> dict[str, Any]:
    return replace(selection, times=dates.times).params()
