from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from activelog.base.units import Habits, Units, WeekStart

MONDAYS = Habits()
LONGEST = {"daily": 366, "weekly": 7 * 106, "monthly": 366 * 10}  # days


class TypeFigures(msgspec.Struct):
    activities: Annotated[int, Meta(examples=[3])]
    minutes: Annotated[int, Meta(examples=[135])]
    kilometres: Annotated[float, Meta(examples=[22.5])]


class Figures(msgspec.Struct):
    start_date: Annotated[date, Meta(description="the day, a Monday, or the first of a month")]
    activities: Annotated[int, Meta(examples=[4])]
    minutes: Annotated[int, Meta(examples=[165])]
    kilometres: Annotated[float, Meta(examples=[22.5])]
    calories: Annotated[int, Meta(examples=[1430])]
    by_type: Annotated[dict[str, TypeFigures], Meta(description="the same by activity type")]


class Stats(msgspec.Struct):
    """Oldest first; times without an activity are left out. Today counts as far as it has come."""

    stats: list[Figures]


class StatsQuery(msgspec.Struct, forbid_unknown_fields=True):
    start_date: Annotated[str | None, Meta(examples=["2024-01-01"])] = None
    end_date: Annotated[str | None, Meta(examples=["2024-01-31"])] = None


class WeeklyAccepted(msgspec.Struct):
    message: Annotated[str, Meta(examples=["weekly summary email queued"])]
    job_id: Annotated[str, Meta(examples=["d290f1ee-6c54-4b01-90e6-d701748f0851"])]
    estimated_delivery: Annotated[datetime, Meta(examples=["2024-01-15T14:35:22Z"])]


@dataclass(frozen=True)
class Day:
    day: date
    activities: int
    minutes: int
    kilometres: float
    calories: int
    by_type: dict[str, tuple[int, int, float]]


def first_of(day: date, unit: str, habits: Habits = MONDAYS) -> date:
    if unit == "weekly":
        return habits.week_of(day)
    return day.replace(day=1) if unit == "monthly" else day


def add_up(days: Iterable[Day], unit: str, habits: Habits = MONDAYS) -> list[Figures]:
    """Days into days, weeks or months."""
    found: dict[date, Figures] = {}
    for day in days:
        first = first_of(day.day, unit, habits)
        sums = found.setdefault(first, Figures(first, 0, 0, 0.0, 0, {}))
        sums.activities += day.activities
        sums.minutes += day.minutes
        sums.kilometres = round(sums.kilometres + day.kilometres, 3)
        sums.calories += day.calories
        for name, (activities, minutes, kilometres) in day.by_type.items():
            kind = sums.by_type.setdefault(name, TypeFigures(0, 0, 0.0))
            kind.activities += activities
            kind.minutes += minutes
            kind.kilometres = round(kind.kilometres + kilometres, 3)
    return [found[first] for first in sorted(found)]


_Date = Annotated[date, Meta(examples=["2024-02-29"])]


class AllTime(msgspec.Struct):
    activities: Annotated[int, Meta(examples=[1280])]
    minutes: Annotated[int, Meta(examples=[61240])]
    kilometres: Annotated[float, Meta(examples=[8012.5])]
    calories: Annotated[int, Meta(examples=[512000])]
    days: Annotated[int, Meta(description="with an activity", examples=[970])]
    first: Annotated[date | None, Meta(description="null: there is none")]


class Record(msgspec.Struct):
    kind: Annotated[Literal["longest", "farthest"], Meta(description="farthest of its type")]
    id: Annotated[int, Meta(description="of the activity", examples=[1])]
    activity_type: Annotated[str, Meta(examples=["running"])]
    minutes: Annotated[int, Meta(examples=[200])]
    kilometres: Annotated[float, Meta(examples=[42.195])]
    day: _Date
    title: Annotated[str, Meta(examples=["Marathon"])]


class Streak(msgspec.Struct):
    """Days in a row with an activity."""

    kind: Annotated[Literal["longest", "current"], Meta(examples=["longest"])]
    first: _Date
    last: _Date
    days: Annotated[int, Meta(examples=[12])]


class YearFigures(msgspec.Struct):
    activities: Annotated[int, Meta(examples=[120])]
    minutes: Annotated[int, Meta(examples=[5400])]
    kilometres: Annotated[float, Meta(examples=[740.5])]
    calories: Annotated[int, Meta(examples=[52000])]
    days: Annotated[int, Meta(description="with an activity", examples=[98])]


class YearStats(msgspec.Struct):
    """`before`: the year before; of one that is under way as far as it was on this day."""

    year: Annotated[int, Meta(examples=[2024])]
    figures: YearFigures
    before: YearFigures
    minutes_by_type: Annotated[dict[str, int], Meta(examples=[{"running": 3000}])]
    minutes_by_month: Annotated[list[int], Meta(description="twelve")]
    minutes_by_day: Annotated[dict[date, int], Meta(description="of days with an activity")]
    records: list[Record]
    streaks: list[Streak]
    all_time: AllTime


@dataclass(frozen=True)
class Shared:
    """Whose year a link shows."""

    user_id: int
    name: str
    zone: str
    units: Units
    week_start: WeekStart
    year: int


class YearQuery(msgspec.Struct, forbid_unknown_fields=True):
    year: (
        Annotated[int, Meta(ge=1900, le=2199, examples=[2024], description="this one unless said")]
        | None
    ) = None
