"""A report as a document on paper."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import accumulate
from typing import Literal

from activelog.base.date_ranges import DateRange, midnight, month_of, year_of
from activelog.base.formatting import duration
from activelog.base.units import Units, distance, in_units
from activelog.report.model import MOST_ROWS, Report, Row, Slot, TypeTotals, Unit
from activelog.report.pdf import Bars, Card, Column, Document, Lines, Picture, Share, Shares, Table

_UNITS: dict[Unit, str] = {"day": "per day", "week": "per week", "month": "per month"}
_LONGEST_CELL = 160  # letters; no column shows more


def make_document(
    report: Report,
    rows: Iterable[Row],
    *,
    kind: str,
    charts: bool,
    only: str = "",
    pictures: Sequence[Picture] = (),
    left_out: bool = False,
    fonts: Sequence[str] = (),
) -> Document:
    """`kind` is what the cover calls it: Monthly report; `only` which activities it is of, when not
    of all. Lines end where the dates are `seen`: what is to come is not drawn. `left_out`: there
    are more pictures."""
    has_any = report.totals.activities > 0
    seen = report.seen
    under_way = f"until {_day(seen.last)}" if seen != report.dates else ""
    parts = (kind, report.name, only, under_way, "not all photos" if left_out else "")
    return Document(
        title=report.dates.name,
        subtitle=" · ".join(filter(None, parts)),
        author=report.name,
        created=midnight(report.dates.until),
        cards=_cards(report),
        charts=list(_charts(report)) if charts and has_any else (),
        table=_table(report, rows) if has_any else None,
        pictures=pictures,
        empty="" if has_any else f"No activities in {report.dates.name}. The next one counts.",
        fonts=fonts,
    )


def _cards(report: Report) -> list[Card]:
    now, before, name = report.totals, report.totals_before, short_name(report.before)
    days = max(report.seen.days, now.days)  # some may be of days to come
    way = distance(now.kilometres, report.units)
    return [
        _card("Activities", f"{now.activities:,}", now.activities, before.activities, name),
        _card("Time", duration(now.minutes), now.minutes, before.minutes, name),
        _card("Distance", way, now.kilometres, before.kilometres, name),
        _card("Active days", f"{now.days:,} of {days:,}", now.days, before.days, name),
    ]


def _day(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"


def _card(label: str, value: str, now: float, before: float, name: str) -> Card:
    note, trend = change(now, before)
    return Card(label, value, f"{note} {name}".strip() if before or now else "", trend)


def change(now: float, before: float) -> tuple[str, Literal[-1, 0, 1]]:
    """In words, and its direction: ("+12 % on", 1)."""
    if not before:
        return ("none in", 1) if now else ("", 0)
    percent = round(100 * (now - before) / before)
    if percent == 0:
        return "as in", 0
    sign = "+" if percent > 0 else "−"
    return f"{sign}{abs(percent)} % on", 1 if percent > 0 else -1


def short_name(dates: DateRange, otherwise: str = "the days before") -> str:
    if dates == month_of(dates.first):
        return f"{dates.first:%B}"
    return str(dates.first.year) if dates == year_of(dates.first.year) else otherwise


def _charts(report: Report) -> Iterator[Bars | Lines | Shares]:
    labels = _labels(report.unit, report.slots)
    yield Bars(
        f"Time {_UNITS[report.unit]}", "minutes", labels, [slot.minutes for slot in report.slots]
    )
    if report.totals.kilometres or report.totals_before.kilometres:
        yield Lines(
            "Distance so far",
            report.units,
            labels,
            _running(
                [slot for slot in report.slots if slot.first < report.seen.until], report.units
            ),
            _running(report.slots_before, report.units),
            (short_name(report.dates, "these days"), short_name(report.before)),
        )
    yield Shares("By type", [_share(kind, report.units) for kind in report.types])


def _running(slots: Sequence[Slot], units: Units) -> list[float]:
    sums = accumulate(slot.kilometres for slot in slots)
    return [round(in_units(kilometres, units), 3) for kilometres in sums]


def _share(kind: TypeTotals, units: Units) -> Share:
    text = f"{kind.activities:,} · {duration(kind.minutes)}"
    if kind.kilometres:
        text += f" · {distance(kind.kilometres, units)}"
    return Share(kind.activity_type, kind.minutes or 0.1, text)


def _labels(unit: Unit, slots: Sequence[Slot]) -> list[str]:
    if unit == "day":
        return [str(slot.first.day) for slot in slots]
    if unit == "week":
        return [f"{slot.first.day} {slot.first:%b}" for slot in slots]
    return [f"{slot.first:%b %y}" for slot in slots]


def _table(report: Report, rows: Iterable[Row]) -> Table:
    cells = _table_rows(rows, report.units)
    return Table(_table_title(report), _columns(report.units), cells)


def _table_title(report: Report) -> str:
    if report.totals.activities <= MOST_ROWS:
        return "Activities"
    return f"Activities, the first {MOST_ROWS:,}"


def _columns(units: Units) -> list[Column]:
    return [
        Column("Date", 24),
        Column("Activity", 28),
        Column("Duration", 20, "right"),
        Column(units, 18, "right"),
        Column("Tags", 36),
        Column("Title and notes", 52),
    ]


def _table_rows(rows: Iterable[Row], units: Units) -> list[tuple[str, ...]]:
    return [
        (
            f"{row.local_time.day} {row.local_time:%b %Y}",
            row.activity_type,
            f"{row.duration_minutes // 60}:{row.duration_minutes % 60:02}",
            f"{in_units(row.distance_km, units):,.2f}" if row.distance_km else "",
            ", ".join(row.tags)[:_LONGEST_CELL],
            " ".join(f"{row.title} {row.notes}".split())[:_LONGEST_CELL],
        )
        for row in rows
    ]
