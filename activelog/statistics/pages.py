"""Statistics with charts."""

import secrets
from datetime import date
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from activelog import http
from activelog.base.errors import AppError
from activelog.base.formatting import with_others
from activelog.base.units import Habits
from activelog.base.zones import at_place
from activelog.http import pages
from activelog.http.pages import Form, Page, Visitor
from activelog.services import of_request
from activelog.statistics import queries
from activelog.statistics.model import Figures, StatsQuery, YearQuery, YearStats, first_of
from activelog.statistics.routes import find_last_day, find_stats, find_year, wanted_days
from activelog.statistics.year import calendar, changes

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
    return with_others(sorted(sums.items(), key=lambda item: -item[1]))


async def year(request: Request, visitor: Visitor) -> Response:
    services = of_request(request)
    today = visitor.clock(services.clock()).date()
    wanted = http.convert(pages.known_query(request, YearQuery), YearQuery).year or today.year
    with services.years(visitor.id):
        stats = await find_year(services, visitor.id, wanted, today)
    async with services.pool.connection() as conn:
        token = await queries.share_token(conn, visitor.id, wanted)
    link = f"{services.settings.base_url}/shared/year?token={token}" if token else None
    return pages.page(
        request,
        "statistics/year.html",
        **_year(stats, visitor.habits, today),
        link=link,
        is_mine=True,
    )


async def shared_year(request: Request) -> Response:
    """For whoever has the link; half a minute old at most, however many look."""
    services = of_request(request)
    async with services.pool.connection() as conn:
        found = await queries.shared(conn, request.query_params.get("token", ""))
    if found is None:
        raise AppError.not_found("page")
    today = at_place(services.clock(), found.zone).date()
    find = partial(find_year, services, found.user_id, found.year, today)
    stats = await services.memo.get(("year", found.user_id, found.year), 30, find)
    habits = Habits(found.units, found.week_start)
    return pages.page(
        request, "statistics/year.html", **_year(stats, habits, today), name=found.name
    )


def _year(stats: YearStats, habits: Habits, today: date) -> dict[str, Any]:
    top = max(stats.minutes_by_month) or 1
    return {
        "stats": stats,
        "calendar": calendar(stats, habits),
        "changes": changes(stats),
        "types": with_others(list(stats.minutes_by_type.items())),
        "months": [
            {"label": f"{date(stats.year, month, 1):%b}", "value": minutes, "share": minutes / top}
            for month, minutes in enumerate(stats.minutes_by_month, 1)
        ],
        "units": habits.units,
        "this_year": today.year,
    }


async def share(request: Request, visitor: Visitor, form: Form) -> Response:
    wanted = http.convert(form, YearQuery).year
    if wanted is None:
        raise AppError.invalid("year", "must be a year")
    async with of_request(request).pool.connection() as conn:
        await queries.share(conn, visitor.id, wanted, secrets.token_urlsafe(24))
    return pages.back(request, f"/statistics/year?year={wanted}", "Whoever has the link sees it.")


async def unshare(request: Request, visitor: Visitor, form: Form) -> Response:
    wanted = http.convert(form, YearQuery).year or 0
    async with of_request(request).pool.connection() as conn:
        await queries.unshare(conn, visitor.id, wanted)
    return pages.back(request, f"/statistics/year?year={wanted}", "The link works no more.")


PAGES = [
    Page("GET", "/statistics", page),
    Page("GET", "/statistics/year", year),
    Page("POST", "/statistics/year/share", share),
    Page("POST", "/statistics/year/unshare", unshare),
    Page("GET", "/shared/year", shared_year, needs="nobody"),
]
