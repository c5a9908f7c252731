"""PDF reports against fpdf2's own table with the same font, and against reportlab's canvas."""

import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO

from fpdf import FPDF
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from activelog.report.pdf import Bars, Card, Column, Document, Lines, Share, Shares, Table, render
from activelog.report.pdf.fonts import BOLD, REGULAR
from tests.bench.measure import Result, median

ROUNDS, ROWS = 3, 10_000
COLUMNS = [
    Column("Date", 24),
    Column("Activity", 28),
    Column("Duration", 20, "right"),
    Column("km", 18, "right"),
    Column("Tags", 36),
    Column("Notes", 52),
]
DAYS = [str(day) for day in range(1, 32)]
MINUTES = [abs(math.sin(day)) * 90 for day in range(31)]
KILOMETRES = [sum(MINUTES[: day + 1]) / 9 for day in range(31)]


def measure() -> Iterator[Result]:
    pdfmetrics.registerFont(TTFont("Inter", REGULAR))
    pdfmetrics.registerFont(TTFont("Inter-Bold", BOLD))
    many, one_page = _rows(ROWS), _rows(6)
    our_times, table_times, monthly_times, peer_times = [], [], [], []
    for _ in range(ROUNDS):
        our_times.append(_seconds(lambda: render(_document(many, charts=False))))
        table_times.append(_seconds(lambda: _fpdf2_table(many)))
    for _ in range(15):
        monthly_times.append(_seconds(lambda: render(_document(one_page, charts=True))) * 1000)
        peer_times.append(_seconds(lambda: _reportlab(one_page)) * 1000)
    ours, table = median(our_times), median(table_times)
    monthly, peer = median(monthly_times), median(peer_times)
    note = (
        f"{ROWS:,} rows of six columns with an embedded font; drawing the glyphs' numbers is left"
    )
    yield Result("pdf.rows_vs_fpdf2_table", ours, "s", table, False, note)
    note = "one page: cards, three charts, a short table; a process reads its fonts once"
    yield Result("pdf.monthly_vs_reportlab", monthly, "ms", peer, False, note)


def _seconds(draw: Callable[[], object]) -> float:
    began = time.perf_counter()
    draw()
    return time.perf_counter() - began


def _rows(count: int) -> list[tuple[str, ...]]:
    return [
        (f"{n % 28 + 1} Jan 2024", "running", f"{n % 3}:{n % 60:02}", f"{n % 42 / 3:.2f}",
         "morning, outdoor", f"Morning run number {n}")
        for n in range(count)
    ]  # fmt: skip


def _document(rows: list[tuple[str, ...]], *, charts: bool) -> Document:
    drawn: list[Bars | Lines | Shares] = [
        Bars("Time per day", "minutes", DAYS, MINUTES),
        Lines("Distance so far", "km", DAYS, KILOMETRES, KILOMETRES[:20], ("January", "December")),
        Shares("By type", [Share("running", 30, "12 · 9 h"), Share("ride", 20, "6 · 7 h")]),
    ]
    return Document(
        title="January 2024",
        subtitle="Monthly report · Ada",
        author="Ada",
        created=datetime(2024, 2, 1, tzinfo=UTC),
        cards=[Card("Activities", "23", "+4 % on December", 1)] * 4 if charts else (),
        charts=drawn if charts else (),
        table=Table("Activities", COLUMNS, rows),
    )


def _fpdf2_table(rows: list[tuple[str, ...]]) -> bytes:
    pdf = FPDF()
    pdf.add_font("Inter", "", REGULAR)
    pdf.add_font("Inter", "B", BOLD)
    pdf.set_font("Inter", size=8)
    pdf.add_page()
    with pdf.table(col_widths=[int(column.width) for column in COLUMNS]) as table:
        for cells in ([column.title for column in COLUMNS], *rows):
            row = table.row()
            for cell in cells:
                row.cell(cell)
    return bytes(pdf.output())


def _reportlab(rows: list[tuple[str, ...]]) -> bytes:
    """The same page, by hand: as many texts, boxes and lines."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=A4)
    canvas.setTitle("January 2024")
    canvas.setFont("Inter-Bold", 24)
    canvas.drawString(45, 740, "January 2024")
    canvas.setFont("Inter", 10.5)
    canvas.drawString(45, 720, "Monthly report · Ada")
    for number in range(4):
        canvas.setFillColorRGB(0.95, 0.96, 0.98)
        canvas.roundRect(45 + number * 128, 630, 118, 68, 6, stroke=0, fill=1)
        canvas.setFillColorRGB(0.05, 0.09, 0.16)
        canvas.setFont("Inter", 8)
        canvas.drawString(56 + number * 128, 680, "Activities")
        canvas.setFont("Inter-Bold", 15)
        canvas.drawString(56 + number * 128, 658, "23")
        canvas.setFont("Inter", 7.5)
        canvas.drawString(56 + number * 128, 642, "+4 % on December")
    for top in (600, 440):
        canvas.setFont("Inter-Bold", 9)
        canvas.drawString(45, top, "Time per day, minutes")
        canvas.setFont("Inter", 7)
        for line in range(5):
            canvas.line(76, top - 120 + line * 26, 550, top - 120 + line * 26)
            canvas.drawRightString(70, top - 122 + line * 26, str(line * 25))
        for day, minutes in enumerate(MINUTES):
            canvas.rect(78 + day * 15.2, top - 120, 11, minutes, stroke=0, fill=1)
            if day % 2 == 0:
                canvas.drawCentredString(83 + day * 15.2, top - 132, DAYS[day])
    canvas.setFont("Inter", 8)
    for number, row in enumerate(rows):
        for place, cell in zip((45, 113, 200, 260, 310, 410), row, strict=True):
            canvas.drawString(place, 240 - number * 15, cell)
    canvas.drawString(45, 24, "January 2024 · Monthly report · Ada")
    canvas.drawRightString(550, 24, "Page 1 of 1")
    canvas.showPage()
    canvas.save()
    return out.getvalue()
