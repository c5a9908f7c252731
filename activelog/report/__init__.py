"""What somebody did in a range of dates: figures against the range before, slots, types, rows.

Exports and monthly reports tell it, each in its own form; the figures come from here, so they
cannot disagree. They are read from the activities themselves, not from daily statistics: a filter
by type or tag must hold too. (Weekly mails, which go to millions, read many weeks at once.)
"""

from activelog.report.document import change, make_document
from activelog.report.drawing import draw
from activelog.report.model import MOST_ROWS, Totals, TypeTotals
from activelog.report.queries import Photo, photos, read, rows

__all__ = [
    "MOST_ROWS",
    "Photo",
    "Totals",
    "TypeTotals",
    "change",
    "draw",
    "make_document",
    "photos",
    "read",
    "rows",
]
