"""What a weekly mail tells: the figures of seven days beside those of the seven before."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from activelog.base.date_ranges import DateRange, days_from
from activelog.report import Totals, TypeTotals, change

_TALLEST = 88  # pixels of a bar

_SAME = {"": "", "none in": "none last week", "as in": "as last week"}


@dataclass(frozen=True)
class WeekOf:
    user_id: int
    dates: DateRange


@dataclass(frozen=True)
class TypeOfDay:
    """What somebody did of one type on one day."""

    day: date
    activity_type: str
    activities: int
    minutes: int
    kilometres: float
    calories: int


@dataclass(frozen=True)
class WeekRecord:
    """Somebody went farther than ever before."""

    activity_type: str
    kilometres: float
    day: date


@dataclass(frozen=True)
class Week:
    dates: DateRange
    totals: Totals
    totals_before: Totals
    minutes: dict[date, int]
    types: list[TypeTotals]  # those with the most minutes first
    records: Sequence[WeekRecord] = ()


def week_until(until: date) -> DateRange:
    return days_from(until - timedelta(days=7), until)


def make_week(
    dates: DateRange, found: Sequence[TypeOfDay], records: Sequence[WeekRecord] = ()
) -> Week:
    """`found` is of these dates and of the seven days before."""
    now = [one for one in found if one.day >= dates.first]
    before = [one for one in found if one.day < dates.first]
    days = [dates.first + timedelta(days=number) for number in range(dates.days)]
    minutes = {day: sum(one.minutes for one in now if one.day == day) for day in days}
    return Week(dates, _totals(now), _totals(before), minutes, _types(now), records)


def tell(week: Week) -> dict[str, Any]:
    """For the templates."""
    return {"week": week, "bars": _bars(week), "changes": _changes(week)}


def _totals(found: Sequence[TypeOfDay]) -> Totals:
    return Totals(
        activities=sum(one.activities for one in found),
        minutes=sum(one.minutes for one in found),
        kilometres=_kilometres(found),
        calories=sum(one.calories for one in found),
        days=len({one.day for one in found}),
    )


def _types(found: Sequence[TypeOfDay]) -> list[TypeTotals]:
    by_type: dict[str, list[TypeOfDay]] = {}
    for one in found:
        by_type.setdefault(one.activity_type, []).append(one)
    types = [
        TypeTotals(
            name, sum(d.activities for d in days), sum(d.minutes for d in days), _kilometres(days)
        )
        for name, days in by_type.items()
    ]
    return sorted(types, key=lambda one: (-one.minutes, -one.activities, one.activity_type))


def _kilometres(found: Iterable[TypeOfDay]) -> float:
    return round(sum(one.kilometres for one in found), 3)


def _bars(week: Week) -> list[dict[str, Any]]:
    """Seven bars of a chart, their heights in pixels."""
    top = max(week.minutes.values()) or 1
    return [
        {
            "day": day,
            "label": f"{day:%a}",
            "minutes": minutes,
            "height": max(2, round(_TALLEST * minutes / top)) if minutes else 0,
        }
        for day, minutes in week.minutes.items()
    ]


def _changes(week: Week) -> dict[str, str]:
    """Against the week before, in words."""
    found = {}
    for name in ("activities", "minutes", "kilometres", "calories"):
        words, _ = change(getattr(week.totals, name), getattr(week.totals_before, name))
        found[name] = _SAME.get(words, f"{words} last week")
    return found
