"""What somebody did in a span of time: figures against the span before, slots, types, rows.

Exports, monthly reports and weekly mails all tell it, each in its own form; the figures come from
here, so they cannot disagree. They are read from the activities themselves, not from daily
statistics: a filter by type or tag must hold too.
"""

from activelog.recap.document import change, make_document
from activelog.recap.model import MOST_ROWS, Recap, Slot, Totals, TypeTotals
from activelog.recap.queries import Photo, photos, read, rows

__all__ = [
    "MOST_ROWS",
    "Photo",
    "Recap",
    "Slot",
    "Totals",
    "TypeTotals",
    "change",
    "make_document",
    "photos",
    "read",
    "rows",
]
