from dataclasses import dataclass
from datetime import datetime
from typing import Any

from activelog import db
from activelog.db import Conn
from activelog.period import Selection, Span, span_before
from activelog.recap.model import (
    MOST_ROWS,
    Recap,
    Row,
    Slot,
    Totals,
    TypeTotals,
    Unit,
    fill,
    unit_of,
)

_SQL = db.queries("recap")
_TYPES = 50


async def read(conn: Conn, selection: Selection, span: Span) -> Recap:
    """`selection` says whose and which; its period is the span's and the span before's. For
    figures that agree, in one snapshot: call it in a `db.snapshot`."""
    before, unit = span_before(span), unit_of(span)
    return Recap(
        name=str(await db.value(conn, _SQL["person"], {"user_id": selection.user_id}) or ""),
        span=span,
        before=before,
        unit=unit,
        totals=await _totals(conn, selection, span),
        totals_before=await _totals(conn, selection, before),
        slots=await _slots(conn, selection, span, unit),
        slots_before=await _slots(conn, selection, before, unit),
        types=await _types(conn, selection, span),
    )


async def rows(conn: Conn, selection: Selection, span: Span) -> list[Row]:
    """In order of time, MOST_ROWS at most."""
    params = _params(selection, span) | {"limit": MOST_ROWS}
    return await db.many(conn, _SQL["rows"], params, Row)


@dataclass(frozen=True)
class Photo:
    object_key: str
    activity_type: str
    activity_date: datetime


async def photos(conn: Conn, selection: Selection, span: Span, limit: int) -> list[Photo]:
    """In order of time."""
    params = _params(selection, span) | {"limit": limit}
    return await db.many(conn, _SQL["photos"], params, Photo)


async def _totals(conn: Conn, selection: Selection, span: Span) -> Totals:
    found = await db.one(conn, _SQL["totals"], _params(selection, span), Totals)
    assert found is not None
    return found


async def _slots(conn: Conn, selection: Selection, span: Span, unit: Unit) -> list[Slot]:
    params = _params(selection, span) | {"unit": unit}
    return fill(span, unit, await db.many(conn, _SQL["slots"], params, Slot))


async def _types(conn: Conn, selection: Selection, span: Span) -> list[TypeTotals]:
    params = _params(selection, span) | {"limit": _TYPES}
    return await db.many(conn, _SQL["types"], params, TypeTotals)


def _params(selection: Selection, span: Span) -> dict[str, Any]:
    return selection.params() | span.period.params()
