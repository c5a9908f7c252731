"""Documents as PDF: cards, charts drawn natively, a table of any length, pictures.

It knows no SQL and no activities: a Document holds what to show, already in words, and
`render` turns it into bytes, the same bytes for the same Document. That is CPU-bound, so callers
run it in a process of its own (`activelog.base.processes`).

What is drawn with the small Latin cut of Inter costs least: reading and subsetting fonts is most
of a short document's time. Any other character is looked for in the fonts of `fonts/` and of the
folder in ACTIVELOG_FONTS, loaded only when a document needs them; what none of them has becomes
a visible box, never nothing.
"""

from activelog.report.pdf import fonts
from activelog.report.pdf.document import (
    Bars,
    Card,
    Column,
    Document,
    Lines,
    Picture,
    Share,
    Shares,
    Table,
)

__all__ = [
    "Bars",
    "Card",
    "Column",
    "Document",
    "Lines",
    "Picture",
    "Share",
    "Shares",
    "Table",
    "estimate",
    "render",
]

_ROW_SECONDS, _FOREIGN_SECONDS = 50e-6, 24e-6  # measured: of a row, of a foreign letter


def estimate(document: Document) -> float:
    """Seconds that it takes to draw, before it is drawn: what counts is the table, and in it
    letters of other fonts, which are shaped one by one."""
    if document.table is None:
        return 0
    rows = document.table.rows
    foreign = sum(len(text) for row in rows for text in row if not fonts.is_latin(text))
    return len(rows) * _ROW_SECONDS + foreign * _FOREIGN_SECONDS


def render(document: Document) -> bytes:
    """The PDF. Raises nothing that its text could cause."""
    # Only a process that draws loads fpdf2 and fontTools: 20 MB, and a fifth of a start.
    from activelog.report.pdf import layout

    return layout.render(document)
