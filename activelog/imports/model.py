from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from activelog.activities.model import Type, Values
from activelog.base.errors import Permanent

IMPORT = "import"  # the kind of its ticket

Unit = Literal["km", "mi"]


class Question(Permanent):
    """A file that may be read in two ways. The message says the parameters that decide."""


class Choices(msgspec.Struct, forbid_unknown_fields=True):
    """What a person says of a file; what is absent is found out from the file."""

    units: Annotated[Unit | None, Meta(description="of distances that name none")] = None
    dates: Annotated[
        Literal["dmy", "mdy", "ymd"] | None, Meta(description="the order of day, month and year")
    ] = None
    type: Annotated[Type | None, Meta(description="of rows that name none")] = None
    similar: Annotated[
        Literal["keep", "skip"] | None,
        Meta(description="of rows that look like an activity from another tracker; keep"),
    ] = None
    zone: (
        Annotated[
            str,
            Meta(
                max_length=64,
                description="of a table's times that name none; yours",
                examples=["Europe/Berlin"],
            ),
        ]
        | None
    ) = None
    columns: (
        Annotated[
            str,
            Meta(max_length=2000, description="which column is what: date=Datum,distance=Km"),
        ]
        | None
    ) = None

    def made(self) -> dict[str, Any]:
        """Those that were made."""
        said = msgspec.to_builtins(self)
        return {name: said[name] for name in Choices.__struct_fields__ if said[name] is not None}


class ImportQuery(Choices, forbid_unknown_fields=True):
    dry_run: Annotated[
        bool, Meta(description="report what it would do, and do nothing but remember `columns`")
    ] = False


@dataclass(frozen=True)
class Import:
    object_key: str
    dry_run: bool
    choices: dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """A row that does not come in."""

    line: int  # in the file, the header being 1
    reason: str
    says: str = ""  # the row, cut


@dataclass(frozen=True)
class Found:
    """A row that comes in. `doubts` are reasons to look at it."""

    line: int
    values: Values
    doubts: tuple[str, ...] = ()
    photos: tuple[str, ...] = ()  # names in the archive
    own_id: str = ""  # of the activity where it was exported from


@dataclass(frozen=True)
class Draft:
    """An activity in SI units, as a file tells it. None is what it does not tell."""

    line: int
    kind: str
    moment: datetime
    seconds: float | None
    metres: float | None
    title: str = ""
    notes: str = ""
    calories: int | None = None
    tags: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    photos: tuple[str, ...] = ()
    moving: float | None = None  # seconds
