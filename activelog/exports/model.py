from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from activelog.tickets import JobStatus

KEPT_DAYS = 7

_DAY = Meta(
    description="a day, or a moment like 2024-01-01T00:00:00Z; both ends count",
    examples=["2024-01-01"],
)


class CsvRequest(msgspec.Struct, forbid_unknown_fields=True):
    start_date: Annotated[str | None, _DAY] = None
    end_date: Annotated[str | None, _DAY] = None
    include_tags: bool = True


class CsvQuery(CsvRequest, forbid_unknown_fields=True):
    """The same, in a query string."""


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
    format: str
    filters: dict[str, Any]
    object_key: str
