"""A year at a glance: each day's minutes, figures beside those of the year before, records."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from activelog.base.date_ranges import as_much_before, so_far, year_of
from activelog.base.units import Habits
from activelog.database import Conn
from activelog.report import change
from activelog.statistics import queries
from activelog.statistics.model import Day, YearFigures, YearStats

_LEVELS = 4  # of a day's colour


async def read(conn: Conn, user_id: int, year: int, today: date) -> YearStats:
    """For figures that agree, in one snapshot."""
    now = await queries.days(conn, user_id, _days_of(year))
    dates = year_of(year)
    until = as_much_before(dates, so_far(dates, today)).until
    before = await queries.days(conn, user_id, [day for day in _days_of(year - 1) if day < until])
    by_type: dict[str, int] = {}
    for day in now:
        for name, (_, minutes, _) in day.by_type.items():
            by_type[name] = by_type.get(name, 0) + minutes
    return YearStats(
        year=year,
        figures=_figures(now),
        before=_figures(before),
        minutes_by_type=dict(sorted(by_type.items(), key=lambda item: (-item[1], item[0]))),
        minutes_by_month=_by_month(now),
        minutes_by_day={day.day: day.minutes for day in now},
        records=await queries.records(conn, user_id),
        streaks=await queries.streaks(conn, user_id, today),
        all_time=await queries.all_time(conn, user_id),
    )


def calendar(stats: YearStats, habits: Habits) -> dict[str, Any]:
    """For the page: a square for each day, in columns of weeks; months where they begin."""
    first = habits.week_of(date(stats.year, 1, 1))
    levels = _levels(list(stats.minutes_by_day.values()))
    squares = [
        {
            "column": (day - first).days // 7,
            "row": (day - first).days % 7,
            "day": day,
            "minutes": minutes,
            "level": sum((minutes or 0) >= level for level in levels),
        }
        for day in _days_of(stats.year)
        for minutes in (stats.minutes_by_day.get(day),)
    ]
    months = [
        {"name": f"{begin:%b}", "column": (begin - first).days // 7}
        for begin in (date(stats.year, month, 1) for month in range(1, 13))
    ]
    return {"squares": squares, "months": months, "columns": 54}


def changes(stats: YearStats) -> dict[str, str]:
    """Against the year before, in words: `+12 % on 2023`."""
    found = {}
    for name in YearFigures.__struct_fields__:
        words, _ = change(getattr(stats.figures, name), getattr(stats.before, name))
        found[name] = f"{words} {stats.year - 1}" if words else ""
    return found


def _days_of(year: int) -> list[date]:
    dates = year_of(year)
    return [dates.first + timedelta(days=number) for number in range(dates.days)]


def _figures(days: Sequence[Day]) -> YearFigures:
    return YearFigures(
        activities=sum(day.activities for day in days),
        minutes=sum(day.minutes for day in days),
        kilometres=round(sum(day.kilometres for day in days), 3),
        calories=sum(day.calories for day in days),
        days=len(days),
    )


def _by_month(days: Sequence[Day]) -> list[int]:
    months = [0] * 12
    for day in days:
        months[day.day.month - 1] += day.minutes
    return months


def _levels(minutes: list[int]) -> list[float]:
    """From how many minutes on a day has each colour: a quarter of the active days has each."""
    active = sorted(one for one in minutes if one)
    if not active:
        return [1.0]
    return [active[len(active) * level // _LEVELS] for level in range(_LEVELS)]
