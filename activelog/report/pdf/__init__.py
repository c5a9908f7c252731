"""Documents as PDF: cards, charts drawn natively, a table of any length, pictures.

It knows no SQL and no activities: a Document holds what to show, already in words, and
`render` turns it into bytes, the same bytes for the same Document. That is CPU-bound, so callers
run it in a process of its own (`activelog.processes`).

What is drawn with the small Latin cut of Inter costs least: reading and subsetting fonts is most
of a short document's time. Any other character is looked for in the fonts of `fonts/` and of the
folder in ACTIVELOG_FONTS, loaded only when a document needs them; what none of them has becomes
a visible box, never nothing.
"""

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
from activelog.report.pdf.render import estimate, render

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
