from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

KEPT_DAYS = 7

_DAY = Meta(
    description="a day, or a moment like 2024-01-01T00:00:00Z; both ends count",
    examples=["2024-01-01"],
)


class CsvRequest(msgspec.Struct, forbid_unknown_fields=True):
    start_date: Annotated[str | None, _DAY] = None
    end_date: Annotated[str | None, _DAY] = None
    include_tags: bool = True


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
