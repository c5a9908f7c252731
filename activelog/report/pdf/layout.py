"""Lays a Document out on pages."""

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO

from activelog.report.pdf.canvas import (
    ACCENT,
    BRAND,
    INK,
    MARGIN,
    PAGE_HEIGHT,
    PALE,
    QUIET,
    RULE,
    TEXT,
    WIDTH,
    Canvas,
)
from activelog.report.pdf.charts import HEIGHT, draw_bars, draw_lines, draw_shares, shares_height
from activelog.report.pdf.document import (
    Bars,
    Card,
    Column,
    Document,
    Lines,
    Picture,
    Shares,
    Table,
)

_ROW = 5.4
_HEAD = 7.0
_TOP, _BOTTOM = 18.0, PAGE_HEIGHT - 18.0
_GAP = 7.0
_PICTURE = 56.0


def render(document: Document) -> bytes:
    rows = [tuple(row) for row in document.table.rows] if document.table else []
    canvas = Canvas(list(_texts(document, rows)), document.fonts)
    canvas.set_title(document.title)
    canvas.set_author(document.author)
    canvas.set_subject(document.subtitle)
    canvas.set_lang(document.language)
    canvas.set_creation_date(document.created)
    canvas.set_producer("ActiveLog")
    canvas.add_page()
    canvas.start_section(document.title)
    y = _cards(canvas, document.cards, _cover(canvas, document))
    y = _empty(canvas, document.empty, y) if document.empty else y
    y = _charts(canvas, document.charts, y)
    if document.table and rows:
        y = _table(canvas, document.table, rows, y)
    _pictures(canvas, document.pictures, y)
    _footers(canvas, document)
    return canvas.to_bytes()


def _texts(document: Document, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Every text that is drawn, so that the fonts for all of them are there."""
    yield from (document.title, document.subtitle, document.author, document.empty)
    for card in document.cards:
        yield from (card.label, card.value, card.note)
    for chart in document.charts:
        yield from _chart_texts(chart)
    yield from (picture.caption for picture in document.pictures)
    if document.table:
        yield document.table.title
        yield from (column.title for column in document.table.columns)
    for row in rows:
        yield from row


def _chart_texts(chart: Bars | Lines | Shares) -> Iterator[str]:
    yield chart.title
    if isinstance(chart, Shares):
        for share in chart.rows:
            yield from (share.label, share.text)
        return
    yield chart.unit
    yield from chart.labels
    if isinstance(chart, Lines):
        yield from chart.names


def _cover(canvas: Canvas, document: Document) -> float:
    canvas.set_fill_color(*ACCENT)
    canvas.polygon([(MARGIN, 19.6), (MARGIN + 1.9, 16.2), (MARGIN + 3.8, 19.6)], style="F")
    canvas.style("B", 10, BRAND)
    canvas.put(MARGIN + 5.4, 19.6, "ActiveLog")
    canvas.style("B", 24, INK)
    canvas.put(MARGIN, 35, document.title, width=WIDTH)
    canvas.style("", 10.5, QUIET)
    canvas.put(MARGIN, 42, document.subtitle, width=WIDTH)
    return 49.0


def _cards(canvas: Canvas, cards: Sequence[Card], y: float) -> float:
    if not cards:
        return y
    space = 4.0
    width = (WIDTH - space * (len(cards) - 1)) / len(cards)
    for number, card in enumerate(cards):
        x = MARGIN + number * (width + space)
        canvas.box(x, y, width, 24, PALE, radius=2)
        canvas.style("", 8, QUIET)
        canvas.put(x + 4, y + 6.2, card.label, width=width - 8)
        canvas.put_figure(x + 4, y + 14, card.value, width - 8, ("B", 15, INK))
        canvas.style("", 7.5, BRAND if card.trend > 0 else QUIET)
        canvas.put(x + 4, y + 19.8, card.note, width=width - 8)
    return y + 24 + _GAP


def _empty(canvas: Canvas, text: str, y: float) -> float:
    canvas.box(MARGIN, y, WIDTH, 44, PALE, radius=2)
    canvas.set_fill_color(*RULE)
    middle = MARGIN + WIDTH / 2
    canvas.polygon([(middle - 6, y + 19), (middle, y + 9), (middle + 6, y + 19)], style="F")
    canvas.style("", 10, QUIET)
    canvas.put(middle, y + 29, text, "center", width=WIDTH - 16)
    return y + 44 + _GAP


def _charts(canvas: Canvas, charts: Sequence[Bars | Lines | Shares], y: float) -> float:
    for chart in charts:
        height = shares_height(chart) if isinstance(chart, Shares) else HEIGHT
        if y + height > _BOTTOM:
            canvas.add_page()
            y = _TOP
        if isinstance(chart, Shares):
            draw_shares(canvas, MARGIN, y, WIDTH, chart)
        elif isinstance(chart, Lines):
            draw_lines(canvas, MARGIN, y, WIDTH, chart)
        else:
            draw_bars(canvas, MARGIN, y, WIDTH, chart)
        y += height + _GAP
    return y


def _table(canvas: Canvas, table: Table, rows: list[tuple[str, ...]], y: float) -> float:
    """Page by page: header, stripes, then the texts, so that the colours change rarely."""
    if y + 12 + _HEAD + 4 * _ROW > _BOTTOM:
        canvas.add_page()
        y = _TOP
    canvas.start_section(table.title, level=1)
    canvas.style("B", 11, INK)
    canvas.put(MARGIN, y + 4, table.title)
    y += 8
    done = 0
    while done < len(rows):
        if done:
            canvas.add_page()
            y = _TOP
        page = rows[done : done + int((_BOTTOM - y - _HEAD) / _ROW)]
        y = _table_page(canvas, table.columns, page, y)
        done += len(page)
    return y + _GAP


def _table_page(
    canvas: Canvas, columns: Sequence[Column], rows: Sequence[Sequence[str]], y: float
) -> float:
    places = _places(columns)
    canvas.style("B", 8, QUIET)
    for column, x in zip(columns, places, strict=True):
        canvas.put(x, y + 4.4, column.title, column.align)
    canvas.rule(MARGIN, y + _HEAD - 0.6, WIDTH)
    y += _HEAD
    for number in range(1, len(rows), 2):
        canvas.box(MARGIN, y + number * _ROW, WIDTH, _ROW, PALE)
    canvas.style("", 8, TEXT)
    for row in rows:
        for column, x, text in zip(columns, places, row, strict=True):
            if text:
                canvas.put(x, y + 3.7, text, column.align, column.width - 3)
        y += _ROW
    return y


def _places(columns: Sequence[Column]) -> list[float]:
    """Where each column's texts are anchored."""
    places, x = [], MARGIN + 1.5
    for column in columns:
        places.append(x if column.align == "left" else x + column.width - 3)
        x += column.width
    return places


def _pictures(canvas: Canvas, pictures: Sequence[Picture], y: float) -> None:
    if not pictures:
        return
    width = (WIDTH - 2 * 4) / 3
    y += 8
    for number, picture in enumerate(pictures):
        place = number % 3
        if place == 0 and y + _PICTURE > _BOTTOM:
            canvas.add_page()
            y = _TOP
        x = MARGIN + place * (width + 4)
        canvas.box(x, y, width, _PICTURE - 8, PALE, radius=1.5)
        canvas.image(
            BytesIO(picture.data), x, y, width, _PICTURE - 8,
            keep_aspect_ratio=True, alt_text=picture.caption or "A photo",
        )  # fmt: skip
        canvas.style("", 7.5, QUIET)
        canvas.put(x, y + _PICTURE - 4, picture.caption, width=width)
        if place == 2:
            y += _PICTURE + 2


def _footers(canvas: Canvas, document: Document) -> None:
    pages = canvas.pages_count
    for number in range(1, pages + 1):
        canvas.return_to(number)
        canvas.style("", 7.5, QUIET)
        canvas.rule(MARGIN, PAGE_HEIGHT - 13, WIDTH)
        canvas.put(MARGIN, PAGE_HEIGHT - 8.5, f"{document.title} · {document.subtitle}", width=130)
        canvas.put(MARGIN + WIDTH, PAGE_HEIGHT - 8.5, f"Page {number:,} of {pages:,}", "right")
