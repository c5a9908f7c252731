import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from activelog.base.date_ranges import ENDS, FIRST_YEAR, LAST_YEAR
from activelog.base.errors import AppError
from activelog.base.formatting import as_stored
from activelog.base.zones import offset_minutes

MAX_TAGS = 20

Type = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=50,
        description="running, ride, walk, hike, swim, yoga, strength or any other",
        examples=["running"],
    ),
]
Minutes = Annotated[int, Meta(ge=0, le=100_000, examples=[45])]
Kilometres = Annotated[float, Meta(ge=0, le=1_000_000, examples=[7.5])]
Moment = Annotated[datetime, Meta(tz=True, examples=["2024-01-15T06:30:00Z"])]
Start = Annotated[
    datetime,
    Meta(
        tz=True,
        description="an offset other than Z says what the clocks showed there; else those of your"
        " time zone count",
        examples=["2024-01-15T06:30:00Z"],
    ),
]
Tags = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=50)]],
    Meta(max_length=MAX_TAGS, examples=[["morning", "outdoor", "cardio"]]),
]
Notes = Annotated[str, Meta(max_length=10_000, examples=["Morning run"])]
LONGEST_TITLE = 200
_LONGEST = {"activity_type": 50, "tags": 50, "title": LONGEST_TITLE}
LONGEST_SOURCE = 20

Title = Annotated[str, Meta(max_length=LONGEST_TITLE, examples=["Along the river"])]
SourceName = Annotated[
    str,
    Meta(
        max_length=LONGEST_SOURCE,
        description="the kind of file that it came from",
        examples=["garmin"],
    ),
]
MovingMinutes = Annotated[int, Meta(ge=0, le=100_000, examples=[43])] | None
Calories = Annotated[int, Meta(ge=0, le=1_000_000, examples=[430])] | None


class NewActivity(msgspec.Struct, forbid_unknown_fields=True):
    activity_type: Type
    duration_minutes: Minutes
    activity_date: Start
    distance_km: Kilometres = 0.0
    tags: Tags = []
    notes: Notes = ""
    calories: Calories = None
    title: Title = ""
    moving_minutes: MovingMinutes = None


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """What is absent stays as it is."""

    activity_type: Type | UnsetType = UNSET
    duration_minutes: Minutes | UnsetType = UNSET
    activity_date: Start | UnsetType = UNSET
    distance_km: Kilometres | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    notes: Notes | UnsetType = UNSET
    calories: Calories | UnsetType = UNSET
    title: Title | UnsetType = UNSET
    moving_minutes: MovingMinutes | UnsetType = UNSET


class Activity(msgspec.Struct):
    id: Annotated[int, Meta(examples=[123])]
    activity_type: Type
    duration_minutes: Minutes
    distance_km: Kilometres
    activity_date: Moment
    tags: Tags
    notes: Notes
    calories: Calories
    title: Title
    moving_minutes: MovingMinutes
    utc_offset: Annotated[
        int, Meta(description="minutes by which clocks there were ahead of UTC", examples=[60])
    ]
    source: SourceName
    created_at: Moment
    updated_at: Moment

    @property
    def local_time(self) -> datetime:
        """What the clocks showed there, as if it were UTC."""
        return self.activity_date + timedelta(minutes=self.utc_offset)


class ListQuery(msgspec.Struct, forbid_unknown_fields=True):
    start_date: Annotated[str | None, Meta(examples=["2024-01-01"], description=ENDS)] = None
    end_date: Annotated[str | None, Meta(examples=["2024-01-31"], description=ENDS)] = None
    type: str | None = None
    tag: str | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str | None, Meta(description="next_cursor of the page before")] = None


class ActivityPage(msgspec.Struct):
    """Newest first."""

    activities: list[Activity]
    next_cursor: Annotated[str | None, Meta(description="null on the last page")]


class Photo(msgspec.Struct):
    id: Annotated[UUID, Meta(examples=["a1b2c3d4-5e6f-4708-9a0b-c1d2e3f4a5b6"])]
    width: Annotated[int, Meta(description="pixels")]
    height: Annotated[int, Meta(description="pixels")]
    size: Annotated[int, Meta(description="bytes")]
    created_at: Moment


@dataclass(frozen=True)
class StoredPhoto:
    """One whose object is in the storage already."""

    id: UUID
    object_key: str
    width: int  # pixels
    height: int
    size: int  # bytes


class Photos(msgspec.Struct):
    """Oldest first."""

    photos: list[Photo]


@dataclass(frozen=True)
class Values:
    """An activity as it is stored, cleaned: what every way in has to pass."""

    activity_type: str
    duration_minutes: int
    distance_km: float
    activity_date: datetime
    tags: list[str]
    notes: str
    calories: int | None
    title: str = ""
    moving_minutes: int | None = None
    utc_offset: int | None = None  # minutes; None: that of the owner's zone
    source: str = ""


def clean(activity: NewActivity) -> Values:
    """Raises AppError for what its type alone does not rule out."""
    return Values(
        activity_type=_line("activity_type", activity.activity_type),
        duration_minutes=activity.duration_minutes,
        distance_km=round(activity.distance_km, 3),
        activity_date=_second(activity.activity_date),
        tags=list(dict.fromkeys(_tag(tag) for tag in activity.tags)),
        notes=_text("notes", activity.notes),
        calories=activity.calories,
        title=_line("title", activity.title) if activity.title.strip() else "",
        moving_minutes=activity.moving_minutes,
        utc_offset=offset_minutes(activity.activity_date),
    )


def _second(moment: datetime) -> datetime:
    try:
        second = moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        second = datetime.min.replace(tzinfo=UTC)
    if not FIRST_YEAR <= second.year <= LAST_YEAR:
        message = f"must be in the years {FIRST_YEAR} to {LAST_YEAR}"
        raise AppError.invalid("activity_date", message)
    return second


def _tag(text: str) -> str:
    tag = _line("tags", text)
    if "," in tag:
        raise AppError.invalid("tags", "must not contain commas")
    return tag


def _line(field: str, text: str) -> str:
    line = as_stored(text)
    if len(line) > _LONGEST[field]:  # one sign may become two when it is spelt as it is stored
        raise AppError.invalid(field, f"must be text of at most {_LONGEST[field]}")
    if not line or any(unicodedata.category(letter) == "Cc" for letter in line):
        raise AppError.invalid(field, "must be one line of text without control characters")
    return line


def _text(field: str, text: str) -> str:
    # One kind of line end, so that a CSV file can have the other one everywhere.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise AppError.invalid(field, "must not contain NUL characters")
    return text
