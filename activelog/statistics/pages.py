"""Statistics with charts."""

from datetime import date

from starlette.requests import Request
from starlette.responses import Response

from activelog import http
from activelog.base.errors import AppError
from activelog.base.units import Habits
from activelog.http import pages
from activelog.http.pages import Page, Visitor
from activelog.services import of_request
from activelog.statistics.model import Figures, StatsQuery, first_of
from activelog.statistics.routes import find_last_day, find_stats, wanted_days

UNITS = {"daily": "by day", "weekly": "by week", "monthly": "by month"}


async def page(request: Request, visitor: Visitor) -> Response:
    fields = pages.known_query(request, StatsQuery)
    unit = request.query_params.get("unit", "")
    unit = unit if unit in UNITS else "weekly"
    services, habits = of_request(request), visitor.habits
    today = visitor.clock(services.clock()).date()
    error = None
    try:
        days = wanted_days(http.convert(fields, StatsQuery), unit, today, habits)
    except AppError as refused:  # the form stays, with the usual days
        error, fields = refused, {}
        days = wanted_days(StatsQuery(), unit, today, habits)
    found = await find_stats(services, visitor.id, days, unit, habits)
    if not found and not fields:  # nothing lately: the latest days that have something
        last = await find_last_day(services, visitor.id)
        if last is not None:
            days = wanted_days(StatsQuery(), unit, last, habits)
            found = await find_stats(services, visitor.id, days, unit, habits)
    return pages.page(
        request,
        "statistics/statistics.html",
        status=error.status if error else 200,
        error=error,
        unit=unit,
        units=UNITS,
        dates=(days[0], days[-1]),
        is_now=days[-1] >= today,
        bars=_bars(found, days, unit, habits),
        totals=_totals(found),
        types=_types(found),
    )


def _bars(
    found: list[Figures], days: list[date], unit: str, habits: Habits
) -> list[dict[str, object]]:
    """One for each day, week or month, also where nothing happened."""
    by_first = {figures.start_date: figures for figures in found}
    firsts = dict.fromkeys(first_of(day, unit, habits) for day in days)
    return [
        {"label": _label(first, unit), "value": by_first[first].minutes if first in by_first else 0}
        for first in firsts
    ]


def _label(first: date, unit: str) -> str:
    return f"{first:%b %y}" if unit == "monthly" else f"{first.day} {first:%b}"


def _totals(found: list[Figures]) -> dict[str, float]:
    return {
        "activities": sum(figures.activities for figures in found),
        "minutes": sum(figures.minutes for figures in found),
        "kilometres": sum(figures.kilometres for figures in found),
        "calories": sum(figures.calories for figures in found),
    }


def _types(found: list[Figures]) -> list[tuple[str, int]]:
    """Minutes by type, most first."""
    sums: dict[str, int] = {}
    for figures in found:
        for name, kind in figures.by_type.items():
            sums[name] = sums.get(name, 0) + kind.minutes
    return sorted(sums.items(), key=lambda item: -item[1])[:8]


PAGES = [Page("GET", "/statistics", page)]
