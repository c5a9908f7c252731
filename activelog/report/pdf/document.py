from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Card:
    """A figure; `note` says how it compares, `trend` whether that is more (1), less or the same."""

    label: str
    value: str
    note: str = ""
    trend: Literal[-1, 0, 1] = 0


@dataclass(frozen=True)
class Bars:
    """A bar for each label; `values` are in `unit`."""

    title: str
    unit: str
    labels: Sequence[str]
    values: Sequence[float]


@dataclass(frozen=True)
class Lines:
    """A line over the labels against a paler one; either may be shorter than the labels."""

    title: str
    unit: str
    labels: Sequence[str]
    values: Sequence[float]
    before: Sequence[float]
    names: tuple[str, str]


@dataclass(frozen=True)
class Share:
    label: str
    value: float
    text: str


@dataclass(frozen=True)
class Shares:
    """A horizontal bar for each share, largest first."""

    title: str
    rows: Sequence[Share]


@dataclass(frozen=True)
class Column:
    title: str
    width: float  # mm
    align: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Table:
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """JPEG or PNG bytes, scaled by whoever gives them."""

    data: bytes
    caption: str


@dataclass(frozen=True)
class Document:
    """`created` goes into the file, so the same document is the same bytes."""

    title: str
    subtitle: str
    author: str
    created: datetime
    cards: Sequence[Card] = ()
    charts: Sequence[Bars | Lines | Shares] = ()
    table: Table | None = None
    pictures: Sequence[Picture] = ()
    empty: str = ""  # shown in place of charts and table
    language: str = "en"
    fonts: Sequence[str] = field(default=())  # more fallback fonts: paths
