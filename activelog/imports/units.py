"""Kilometres or miles? Where no header says it, all rows of the file are asked.

Evidence that measures: stride length x cadence x time, and steps x stride, are metres. Pace x time
tells whether a row counts in the unit of the account or in metres, as track runs and swims do.
Where nothing measures, hints decide, and the report says so.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from activelog.imports.columns import METRES
from activelog.imports.model import Question, Unit

Scale = Literal["account", "metres"]
_NAMES = {"km": "kilometres", "mi": "miles", "m": "metres", "yd": "yards"}
_KEPT_PACES = 1000
# Kilometres an hour that nobody keeps up; a type that is not here may do anything.
FASTEST = {
    "": 45,
    "workout": 45,
    "running": 30,
    "walk": 14,
    "hike": 14,
    "swim": 9,
    "ride": 90,
    "strength": 30,
    "yoga": 30,
}
_FASTEST_OF_ALL = 120
_SLOWEST = 0.8  # of those who move at all, for ten minutes
_MOVING = ("running", "ride", "walk", "hike", "swim")


@dataclass(frozen=True)
class Measured:
    """What a row tells of its distance; None is what it does not."""

    kind: str
    distance: float
    seconds: float | None = None
    pace: float | None = None  # seconds for a unit
    speed: float | None = None
    stride: float | None = None  # metres
    cadence: float | None = None  # steps a minute
    steps: float | None = None
    temperature: float | None = None

    def walked_metres(self) -> float | None:
        if self.stride and 0.2 < self.stride < 3:
            if self.steps:
                return self.steps * self.stride
            if self.cadence and self.seconds and self.cadence > 30:
                return self.stride * self.cadence * self.seconds / 60
        return None

    def scale(self) -> Scale | None:
        """By its pace; None where that tells nothing."""
        if not (self.pace and self.seconds and self.distance):
            return None
        times = self.distance * self.pace / self.seconds
        if 0.7 < times < 1.4:
            return "account"
        return "metres" if 60 < times < 2500 else None


def fastest(kind: str) -> float:
    return FASTEST.get(kind, _FASTEST_OF_ALL)


def is_too_fast(kind: str, metres: float, seconds: float | None) -> bool:
    return bool(seconds) and metres / (seconds or 1) * 3.6 > fastest(kind)


def is_too_slow(kind: str, metres: float, seconds: float | None) -> bool:
    moves = kind in _MOVING and metres > 0 and (seconds or 0) > 600
    return moves and metres / (seconds or 1) * 3.6 < (0.3 if kind == "swim" else _SLOWEST)


@dataclass(frozen=True)
class Units:
    """`account` is the unit of distances, `why` the reason; kinds that count in metres have them
    unless the row's own pace says otherwise."""

    account: str  # a key of METRES
    why: str
    is_assumed: bool = False
    is_said: bool = False  # by the header: no pace says otherwise
    metre_kinds: frozenset[str] = frozenset()

    def metres(self, row: Measured) -> float:
        scale = row.scale()
        if scale is None or self.is_said or self.account in ("m", "yd"):
            scale = "metres" if row.kind in self.metre_kinds else "account"
        if scale == "account":
            return row.distance * METRES[self.account]
        # Pools of an account in miles are measured in yards.
        in_yards = self.account == "mi" and row.kind == "swim"
        return row.distance * METRES["yd" if in_yards else "m"]

    def said(self) -> dict[str, str]:
        kinds = ", ".join(sorted(kind or "no type" for kind in self.metre_kinds))
        others = f"; those of {kinds} are in metres" if kinds and self.account != "m" else ""
        return {"distance": _NAMES[self.account], "why": self.why + others}


@dataclass
class UnitSurvey:
    """`hints` are what is known beside the rows: (unit, why), the strongest first."""

    metre_kinds: frozenset[str] = frozenset()
    votes: Counter[Unit] = field(default_factory=Counter)
    reasons: dict[Unit, str] = field(default_factory=dict)
    scales: dict[str, Counter[Scale]] = field(default_factory=lambda: defaultdict(Counter))
    too_fast: dict[str, Counter[bool]] = field(default_factory=lambda: defaultdict(Counter))
    paces: list[float] = field(default_factory=list)
    fahrenheit: Counter[bool] = field(default_factory=Counter)

    def add(self, row: Measured, line: int) -> None:
        if row.temperature:
            self.fahrenheit[row.temperature > 45] += 1
        if row.distance <= 0:
            return
        scale = row.scale()
        if scale:
            self.scales[row.kind][scale] += 1
        self.too_fast[row.kind][is_too_fast(row.kind, row.distance * 1000, row.seconds)] += 1
        if scale == "metres":
            return
        if row.pace and row.kind in ("running", "") and len(self.paces) < _KEPT_PACES:
            self.paces.append(row.pace)
        walked = row.walked_metres()
        for unit in ("km", "mi"):
            if walked and 0.82 < walked / (row.distance * METRES[unit]) < 1.2:
                self._vote(unit, row, walked, line)

    def units(self, hints: Iterator[tuple[Unit, str]]) -> Units:
        """Raises Question when the rows disagree."""
        metre_kinds = frozenset(kind for kind in self.scales.keys() | self.too_fast.keys()
                                if self._counts_metres(kind)) | self.metre_kinds  # fmt: skip
        if self.votes:
            [(unit, most), *others] = self.votes.most_common()
            if others and others[0][1] * 4 > most:
                raise Question(
                    f"some rows are in kilometres and some in miles ({self.reasons['km']};"
                    f" {self.reasons['mi']}): say units=km or units=mi"
                )
            return Units(unit, self.reasons[unit], metre_kinds=metre_kinds)
        nothing: tuple[Unit, str] = ("km", "nothing in the file tells; kilometres were assumed")
        unit, why = next(iter((*self._weak(), *hints)), nothing)
        return Units(unit, why, is_assumed=True, metre_kinds=metre_kinds)

    def _vote(self, unit: Unit, row: Measured, walked: float, line: int) -> None:
        self.votes[unit] += 1
        self.reasons.setdefault(
            unit,
            f"line {line}: stride and steps make {walked / 1000:.1f} km, the file says"
            f" {row.distance:g}, which are {_NAMES[unit]}",
        )

    def _counts_metres(self, kind: str) -> bool:
        """By paces, else because kilometres would be faster than anybody is."""
        scales = self.scales.get(kind)
        if scales:
            return scales["metres"] > scales["account"]
        fast = self.too_fast[kind]
        return kind not in self.metre_kinds and fast[True] > 4 * fast[False]

    def _weak(self) -> Iterator[tuple[Unit, str]]:
        if self.fahrenheit[True] > self.fahrenheit[False]:
            yield "mi", "temperatures are in °F"
        if self.paces:
            pace = median(self.paces)
            shown = f"{pace // 60:.0f}:{pace % 60:02.0f}"
            if pace < 225:  # faster than anybody ran a mile
                yield "km", f"nobody runs a mile in {shown}"
