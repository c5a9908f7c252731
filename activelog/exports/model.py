from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from activelog.base.date_ranges import (
    ENDS,
    DateRange,
    Selection,
    parse_days,
    parse_month,
    parse_time_range,
    parse_year,
)
from activelog.base.errors import AppError
from activelog.tickets import JobStatus

KEPT_DAYS = 7

Format = Literal["csv", "pdf"]
AnyFormat = Literal["csv", "pdf", "zip"]
ReportType = Literal["monthly", "yearly", "range"]

_DAY = Meta(description=ENDS, examples=["2024-01-01"])
_MONTH = Meta(description="of a monthly report", examples=["2024-01"])
_YEAR = Meta(description="of a yearly report", examples=[2024])
_TYPE = Meta(description="only activities of this type", examples=["running"])
_TAG = Meta(description="only activities with this tag", examples=["outdoor"])
_BOM = Meta(description="begin with a byte order mark, for old Excel")
_RAW = Meta(description="leave texts that a spreadsheet takes for formulas as they are")
_TAGS = Meta(description="with a column for tags")
MORE_COLUMNS = ("title", "calories", "start_local", "moving_minutes", "source")
_ANY_COLUMN = "|".join(MORE_COLUMNS)
_COLUMNS = Meta(
    description=f"more columns, with commas: {', '.join(MORE_COLUMNS)}",
    pattern=f"^({_ANY_COLUMN})(,({_ANY_COLUMN}))*(?!\\n)$",
    max_length=100,
    examples=["title,calories"],
)
_REPORT = Meta(examples=["monthly"])
_CHARTS = Meta(description="draw charts")
_PHOTOS = Meta(description="show the photos of the activities, 60 at most")
_GZIP = Meta(description="compress the file")


class Filters(msgspec.Struct, forbid_unknown_fields=True):
    start_date: Annotated[str | None, _DAY] = None
    end_date: Annotated[str | None, _DAY] = None
    type: Annotated[str | None, _TYPE] = None
    tag: Annotated[str | None, _TAG] = None


class CsvRequest(Filters, forbid_unknown_fields=True):
    include_tags: bool = True
    bom: Annotated[bool, _BOM] = False
    raw: Annotated[bool, _RAW] = False
    gzip: Annotated[bool, _GZIP] = False
    columns: Annotated[str, _COLUMNS] | None = None

    @property
    def more_columns(self) -> list[str]:
        """Each once, in the order in which they were named."""
        return list(dict.fromkeys(self.columns.split(","))) if self.columns else []

    def selection(self, user_id: int) -> Selection:
        times = parse_time_range(self.start_date, self.end_date)
        return Selection(user_id, times, self.type, self.tag)

    @property
    def suffix(self) -> str:
        return "csv.gz" if self.gzip else "csv"


class CsvQuery(CsvRequest, forbid_unknown_fields=True):
    """The same, in a query string."""


class PdfRequest(Filters, forbid_unknown_fields=True):
    """A `monthly` report has a month (this one unless said), a `yearly` one a year, a `range` a
    start_date and an end_date."""

    report_type: Annotated[ReportType, _REPORT] = "monthly"
    month: Annotated[str | None, _MONTH] = None
    year: Annotated[int | None, _YEAR] = None
    include_charts: bool = True
    include_photos: bool = False

    @property
    def suffix(self) -> str:
        return "pdf"

    def dated(self, today: date) -> "PdfRequest":
        """The same, and its month or year is said: not the one in which the job happens to run.
        Raises AppError when its fields do not say a time."""
        self._check_fields()
        month, year = self.month, self.year
        if self.report_type == "monthly" and month is None:
            month = f"{today:%Y-%m}"
        if self.report_type == "yearly" and year is None:
            year = today.year
        said = msgspec.structs.replace(self, month=month, year=year)
        said.dates()
        return said

    def dates(self) -> DateRange:
        """The days that it covers. Raises AppError for days that are none."""
        if self.month is not None:
            return parse_month(self.month)
        if self.year is not None:
            return parse_year(self.year)
        if not self.start_date or not self.end_date:
            raise AppError.invalid("start_date", "a range has a start_date and an end_date")
        return parse_days(self.start_date, self.end_date)

    def selection(self, user_id: int) -> Selection:
        return Selection(user_id, self.dates().times, self.type, self.tag)

    def _check_fields(self) -> None:
        belongs = {"monthly": ("month",), "yearly": ("year",), "range": ("start_date", "end_date")}
        for kind, names in belongs.items():
            for name in names:
                if kind != self.report_type and getattr(self, name) is not None:
                    raise AppError.invalid(name, f"does not go with a {self.report_type} report")


class ZipRequest(msgspec.Struct, forbid_unknown_fields=True):
    """All that is somebody's; there is nothing to choose."""

    @property
    def suffix(self) -> str:
        return "zip"


class AnyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`format` and what goes with it: the fields of a CSV export or of a PDF report."""

    format: Annotated[Format, Meta(examples=["csv"])] | UnsetType = UNSET
    start_date: Annotated[str | None, _DAY] | UnsetType = UNSET
    end_date: Annotated[str | None, _DAY] | UnsetType = UNSET
    type: Annotated[str | None, _TYPE] | UnsetType = UNSET
    tag: Annotated[str | None, _TAG] | UnsetType = UNSET
    include_tags: Annotated[bool, _TAGS] | UnsetType = UNSET
    bom: Annotated[bool, _BOM] | UnsetType = UNSET
    raw: Annotated[bool, _RAW] | UnsetType = UNSET
    gzip: Annotated[bool, _GZIP] | UnsetType = UNSET
    columns: Annotated[str, _COLUMNS] | UnsetType = UNSET
    report_type: Annotated[ReportType, _REPORT] | UnsetType = UNSET
    month: Annotated[str | None, _MONTH] | UnsetType = UNSET
    year: Annotated[int | None, _YEAR] | UnsetType = UNSET
    include_charts: Annotated[bool, _CHARTS] | UnsetType = UNSET
    include_photos: Annotated[bool, _PHOTOS] | UnsetType = UNSET


class FormatQuery(msgspec.Struct, forbid_unknown_fields=True):
    format: Annotated[Format | None, Meta(description="in place of the body's")] = None


class HistoryQuery(msgspec.Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Annotated[str | None, Meta(description="next_cursor of the page before")] = None


class ExportItem(msgspec.Struct):
    id: UUID
    format: Annotated[str, Meta(examples=["csv"])]
    filters: dict[str, Any]
    job: JobStatus


class ExportPage(msgspec.Struct):
    """Newest first."""

    exports: list[ExportItem]
    next_cursor: Annotated[str | None, Meta(description="null on the last page")]


class DownloadQuery(msgspec.Struct, forbid_unknown_fields=True):
    """As in `download_url`; without them a bearer token is needed."""

    expires: int = 0
    signature: Annotated[str, Meta(max_length=100)] = ""


@dataclass(frozen=True)
class Export:
    id: UUID
    user_id: int
    format: AnyFormat
    filters: dict[str, Any]
    object_key: str

    @property
    def suffix(self) -> str:
        return self.object_key.partition(".")[2]

    def csv(self) -> CsvRequest:
        return msgspec.convert(self.filters, CsvRequest)

    def pdf(self) -> PdfRequest:
        return msgspec.convert(self.filters, PdfRequest)
