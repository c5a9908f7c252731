from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from activelog.base.date_ranges import DateRange
from activelog.base.units import Habits, Units

MOST_ROWS = 20_000  # of a PDF's table: some 430 pages

Unit = Literal["day", "week", "month"]


@dataclass(frozen=True)
class Totals:
    activities: int
    minutes: int
    kilometres: float
    calories: int
    days: int  # with an activity


@dataclass(frozen=True)
class Slot:
    """A day, a week or a month."""

    first: date
    activities: int = 0
    minutes: int = 0
    kilometres: float = 0.0


@dataclass(frozen=True)
class TypeTotals:
    activity_type: str
    activities: int
    minutes: int
    kilometres: float


@dataclass(frozen=True)
class Row:
    local_time: datetime
    activity_type: str
    duration_minutes: int
    distance_km: float
    tags: list[str]
    title: str
    notes: str


@dataclass(frozen=True)
class Report:
    """`slots` cover all of `dates`, `slots_before` all of `before`; `totals_before` as much of it
    as is `seen` of `dates`, which are not over."""

    name: str  # of the person
    units: Units  # of distances, where they are shown
    dates: DateRange
    seen: DateRange
    before: DateRange
    unit: Unit
    totals: Totals
    totals_before: Totals
    slots: Sequence[Slot]
    slots_before: Sequence[Slot]
    types: Sequence[TypeTotals]


def unit_of(dates: DateRange) -> Unit:
    """As fine as a chart of it can show."""
    if dates.days <= 62:
        return "day"
    return "week" if dates.days <= 420 else "month"


def fill(dates: DateRange, unit: Unit, habits: Habits, found: Sequence[Slot]) -> list[Slot]:
    """Every slot of these dates, also those in which nothing happened."""
    by_first = {slot.first: slot for slot in found}
    return [by_first.get(first, Slot(first)) for first in _firsts(dates, unit, habits)]


def _firsts(dates: DateRange, unit: Unit, habits: Habits) -> list[date]:
    first = dates.first
    if unit == "week":
        first = habits.week_of(first)
    elif unit == "month":
        first = first.replace(day=1)
    firsts = []
    while first < dates.until:
        firsts.append(first)
        first = _after(first, unit)
    return firsts


def _after(first: date, unit: Unit) -> date:
    if unit == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if unit == "week" else 1)
