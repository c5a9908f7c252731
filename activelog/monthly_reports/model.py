from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta


class Report(msgspec.Struct):
    month: Annotated[str, Meta(examples=["2024-01"])]
    size: Annotated[int, Meta(description="bytes")]
    created_at: Annotated[datetime, Meta(examples=["2024-02-01T00:00:12Z"])]
    download_url: Annotated[str, Meta(description="works for 30 days, without a token")]


class Reports(msgspec.Struct):
    """Newest first."""

    reports: list[Report]


class ReportLink(msgspec.Struct, forbid_unknown_fields=True):
    """As in `download_url`; without them a bearer token is needed."""

    user: Annotated[int, Meta(description="whose report it is")] = 0
    expires: Annotated[int, Meta(description="seconds since 1970")] = 0
    signature: Annotated[str, Meta(max_length=100, examples=["Zm9v…"])] = ""


def object_key(user_id: int, month: date) -> str:
    return f"reports/{user_id}/{month:%Y-%m}.pdf"
