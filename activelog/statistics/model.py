from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from activelog.base.units import Habits

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
