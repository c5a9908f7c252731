"""A recap as a document on paper."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Literal

from activelog.pdf import Bars, Card, Column, Document, Lines, Picture, Share, Shares, Table
from activelog.period import Span, midnight, month_span, year_span
from activelog.recap.model import MOST_ROWS, Recap, Row, Slot, TypeTotals, Unit
from activelog.words import duration

_COLUMNS = [
    Column("Date", 24),
    Column("Activity", 28),
    Column("Duration", 20, "right"),
    Column("km", 18, "right"),
    Column("Tags", 36),
    Column("Notes", 52),
]
_UNITS: dict[Unit, str] = {"day": "per day", "week": "per week", "month": "per month"}
_TYPES = 7


def make_document(
    recap: Recap,
    rows: Iterable[Row],
    *,
    kind: str,
    charts: bool,
    pictures: Sequence[Picture] = (),
    left_out: bool = False,
    fonts: Sequence[str] = (),
) -> Document:
    """`kind` is what the cover calls it: Monthly report. `left_out`: there are more pictures."""
    has_any = recap.totals.activities > 0
    return Document(
        title=recap.span.name,
        subtitle=f"{kind} · {recap.name}" + (" · not all photos" if left_out else ""),
        author=recap.name,
        created=midnight(recap.span.until),
        cards=_cards(recap),
        charts=list(_charts(recap)) if charts and has_any else (),
        table=Table(_table_title(recap), _COLUMNS, _table_rows(rows)) if has_any else None,
        pictures=pictures,
        empty="" if has_any else f"No activities in {recap.span.name}. The next one counts.",
        fonts=fonts,
    )


def _cards(recap: Recap) -> list[Card]:
    now, before, name = recap.totals, recap.totals_before, short_name(recap.before)
    return [
        _card("Activities", f"{now.activities:,}", now.activities, before.activities, name),
        _card("Time", duration(now.minutes), now.minutes, before.minutes, name),
        _card("Distance", f"{now.kilometres:,.1f} km", now.kilometres, before.kilometres, name),
        _card("Active days", f"{now.days:,} of {recap.span.days:,}", now.days, before.days, name),
    ]


def _card(label: str, value: str, now: float, before: float, name: str) -> Card:
    note, trend = change(now, before)
    return Card(label, value, f"{note} {name}".strip() if before or now else "", trend)


def change(now: float, before: float) -> tuple[str, Literal[-1, 0, 1]]:
    """In words, and its direction: ("+12 % on", 1)."""
    if not before:
        return ("new since", 1) if now else ("", 0)
    percent = round(100 * (now - before) / before)
    if percent == 0:
        return "as in", 0
    sign = "+" if percent > 0 else "−"
    return f"{sign}{abs(percent):,} % on", 1 if percent > 0 else -1


def short_name(span: Span, otherwise: str = "the days before") -> str:
    if span == month_span(span.first):
        return f"{span.first:%B}"
    return str(span.first.year) if span == year_span(span.first.year) else otherwise


def _charts(recap: Recap) -> Iterator[Bars | Lines | Shares]:
    labels = _labels(recap.unit, recap.slots)
    yield Bars(
        f"Time {_UNITS[recap.unit]}", "minutes", labels, [slot.minutes for slot in recap.slots]
    )
    if recap.totals.kilometres or recap.totals_before.kilometres:
        yield Lines(
            "Distance so far",
            "km",
            labels,
            _running(recap.slots),
            _running(recap.slots_before),
            (short_name(recap.span, "these days"), short_name(recap.before)),
        )
    yield Shares("By type", [_share(kind) for kind in recap.types[:_TYPES]])


def _running(slots: Sequence[Slot]) -> list[float]:
    return [round(sum_, 3) for sum_ in accumulate(slot.kilometres for slot in slots)]


def _share(kind: TypeTotals) -> Share:
    text = f"{kind.activities:,} · {duration(kind.minutes)}"
    if kind.kilometres:
        text += f" · {kind.kilometres:,.1f} km"
    return Share(kind.activity_type, kind.minutes or 0.1, text)


def _labels(unit: Unit, slots: Sequence[Slot]) -> list[str]:
    if unit == "day":
        return [str(slot.first.day) for slot in slots]
    if unit == "week":
        return [f"{slot.first.day} {slot.first:%b}" for slot in slots]
    return [f"{slot.first:%b %y}" for slot in slots]


def _table_title(recap: Recap) -> str:
    if recap.totals.activities <= MOST_ROWS:
        return "Activities"
    return f"Activities, the first {MOST_ROWS:,}"


def _table_rows(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    return [
        (
            f"{row.activity_date.day} {row.activity_date:%b %Y}",
            row.activity_type,
            f"{row.duration_minutes // 60}:{row.duration_minutes % 60:02}",
            f"{row.distance_km:,.2f}" if row.distance_km else "",
            ", ".join(row.tags),
            " ".join(row.notes.split()),
        )
        for row in rows
    ]
