"""What a table would come in as: which column is what, and its first rows."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated, BinaryIO

import msgspec
from msgspec import Meta

from activelog.base.errors import Permanent
from activelog.imports.columns import CHOICES, find_columns
from activelog.imports.layouts import Layout, find_layout, missing_of
from activelog.imports.model import Choices, Found, Refused
from activelog.imports.source import kind_of, open_rows
from activelog.imports.table import Table, beginning, open_table, sample

BEGINNING = 1 << 20  # bytes of a file that are looked at
_ROWS, _SHOWN = 5, 3  # rows


class PreviewColumn(msgspec.Struct):
    number: Annotated[int, Meta(description="the first one is 1", examples=[1])]
    name: Annotated[str, Meta(examples=["Datum"])]
    meaning: Annotated[str | None, Meta(examples=["date"], description="null: not used")]
    samples: Annotated[list[str], Meta(examples=[["24.12.2023", "26.12.2023"]])]


class PreviewRow(msgspec.Struct):
    """A row as it would come in, or the reason why it would not."""

    line: Annotated[int, Meta(examples=[2])]
    activity_date: datetime | None = None
    utc_offset: Annotated[
        int | None, Meta(description="minutes by which clocks there are ahead of UTC")
    ] = None
    activity_type: Annotated[str, Meta(examples=["running"])] = ""
    duration_minutes: Annotated[int, Meta(examples=[45])] = 0
    distance_km: Annotated[float, Meta(examples=[7.5])] = 0
    title: Annotated[str, Meta(examples=["Morning run"])] = ""
    refused: Annotated[str, Meta(description="why")] = ""
    doubts: list[str] = msgspec.field(default_factory=list)

    @property
    def local_time(self) -> datetime | None:
        """By the clocks of the place; None where it names none."""
        if self.activity_date is None or self.utc_offset is None:
            return None
        return self.activity_date + timedelta(minutes=self.utc_offset)


class Preview(msgspec.Struct):
    format: Annotated[str, Meta(examples=["table"])]
    columns: list[PreviewColumn]
    rows: Annotated[list[PreviewRow], Meta(description="the first five")]
    missing: Annotated[str, Meta(description="what has to be said before the file can come in")]
    meanings: Annotated[list[str], Meta(description="what a column may be")]
    remarks: list[str]


def preview(file: BinaryIO, choices: Choices, now: datetime) -> Preview:
    """Of a table, or of the beginning of one. Raises Permanent for any other file."""
    if kind_of(file) != "table":
        raise Permanent("only tables have columns; import the file as it is")
    table = open_table(beginning(file, BEGINNING))
    cells = sample(table)
    if not cells:
        raise Permanent("it has no rows")
    layout, missing = _layout(table, choices, cells)
    columns = list(_columns(table, layout, cells[:_SHOWN]))
    found = Preview(layout.name, columns, [], missing, list(CHOICES), [])
    if not missing:
        source = open_rows(table, layout, choices, now)
        found.remarks = list(source.remarks)
        found.rows = [_row(one) for one in islice(source.rows, _ROWS)]
    return found


def _layout(table: Table, choices: Choices, cells: list[list[str]]) -> tuple[Layout, str]:
    """And what is missing. Raises Permanent for choices that do not fit the file."""
    try:
        layout = find_layout(table, choices)
        missing = missing_of(layout.columns)
        return layout, f"there is no column {missing}" if missing else ""
    except Permanent as error:
        if choices.columns:
            raise
        return Layout("table", find_columns(table.header, cells)), str(error)


def _columns(table: Table, layout: Layout, shown: list[list[str]]) -> Iterator[PreviewColumn]:
    meanings = {place: meaning for meaning, place in layout.columns.places.items()}
    for place, name in enumerate(table.header):
        samples = [cells[place][:60] for cells in shown]
        yield PreviewColumn(place + 1, name[:60], meanings.get(place), samples)


def _row(found: Found | Refused) -> PreviewRow:
    if isinstance(found, Refused):
        return PreviewRow(found.line, refused=found.reason)
    said = {name: value for name, value in asdict(found.values).items()
            if name in PreviewRow.__struct_fields__}  # fmt: skip
    return PreviewRow(found.line, **said, doubts=list(found.doubts))
