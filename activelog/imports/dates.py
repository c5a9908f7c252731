"""Dates as trackers and people write them, in any language and order.

`31.01.2024` says its order, `01/02/24` does not: a DateSurvey looks at all dates of a column, and
makes the DateReader that suits them, or asks.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, get_args

from activelog.base.errors import AppError
from activelog.imports.cells import LONGEST
from activelog.imports.model import Question
from activelog.imports.words import plain

Order = Literal["dmy", "mdy", "ymd"]
ORDERS: tuple[Order, ...] = get_args(Order)

_NUMBERS = re.compile(
    r"(?<!\d)(\d{1,4})\s?([./\-年년])\s?(\d{1,2})\s?[./\-月월]\s?(\d{4}|\d{1,2})(?!\d)[日일.]?"
)
_DAY_FIRST = re.compile(
    r"(?<!\d)(?P<day>\d{1,2})(?:er|st|nd|rd|th|[.º°])?[\s\-]*(?:de |d['’])?"
    r"(?P<month>[^\W\d_]{2,})\.?,?[\s\-]*(?:de |del )?(?P<year>\d{4}|\d\d)(?![\d:])"
)
_MONTH_FIRST = re.compile(
    r"(?P<month>[^\W\d_]{3,})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})(?!\d)"
)
_YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})[.,]?\s+(?P<month>[^\W\d_]{3,})\.?\s+(?P<day>\d{1,2})(?!\d)\.?"
)
_TIME = re.compile(r"(?<!\d)(\d{1,2})(?:[:.hH]| Uhr )([0-5]\d)(?:[:.]([0-5]\d)(?:[.,]\d+)?)?(?!\d)")
_HOUR = re.compile(r"(?<!\d)(\d{1,2})()()\s?(?=[ap]\.?m|uhr\b|h\b)", re.IGNORECASE)  # 7pm, 7h
_OFFSET = re.compile(r"(?<![\d\w])(?:GMT|UTC)?\s?\(?([+\-])(\d\d?)(?::?(\d\d))?\)?(?![:\d])")
_GLUED = re.compile(r"([+\-])(\d\d)(?::?(\d\d))?\)?(?![:\d])")  # to the time before it
_ZULU = re.compile(r"(?<![^\W\d_])Z$|(?:UTC|GMT)$")
_ZONE = re.compile(r"\b[A-Z]{2,4}T\b")  # of some land; IST is one of three
_ZONES = {
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
    "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2,
    "EET": 2, "EEST": 3, "BST": 1, "JST": 9,
    "AEST": 10, "AEDT": 11, "MSK": 3, "SAST": 2, "HKT": 8, "SGT": 8, "AWST": 8, "KST": 9,
    "NZST": 12, "NZDT": 13, "HST": -10, "AKST": -9, "AKDT": -8, "BRT": -3, "GMT": 0,
}  # fmt: skip
_EPOCH = re.compile(r"\d{10}(?:\d{3})?")


@cache
def _languages() -> dict[str, dict[str, dict[str, int]]]:
    """Of words/months.json, which `python -m tests.months` makes."""
    found: dict[str, dict[str, dict[str, int]]] = json.loads(
        Path(__file__).with_name("words").joinpath("months.json").read_text("utf-8")
    )
    return found


@cache
def _halves() -> dict[str, int]:
    return {
        word: hours for words in _languages().values() for word, hours in words["halves"].items()
    }


@lru_cache(4096)  # a file may have any number of words
def _month_in(language: str, word: str) -> int | None:
    """Also of the beginning of a name, where only one month begins so."""
    months = _languages()[language]["months"]
    if word in months:
        return months[word]
    numbers = {number for name, number in months.items() if name.startswith(word)}
    return numbers.pop() if len(word) >= 3 and len(numbers) == 1 else None


@dataclass(frozen=True)
class _Parts:
    """What a text says. `numbers` stand in the order of the text when no month is named."""

    numbers: tuple[int, int, int]  # day, 0, year when a month is named
    month: str
    year_first: bool
    point: bool  # parted by points
    is_short: bool  # a year of two digits
    clock: tuple[int, int, int]
    has_half: bool
    offset: timedelta | None
    unread: str  # of the time or its zone


def _parts(text: str) -> _Parts | None:
    if len(text) > LONGEST:
        return None
    text = " ".join(text.replace("T", " ", 1).split()) if text[10:11] == "T" else _spaced(text)
    for pattern in (_DAY_FIRST, _MONTH_FIRST, _YEAR_FIRST):
        if (found := pattern.search(text)) and _is_month(plain(found["month"])):
            numbers = (int(found["day"]), 0, int(found["year"]))
            month, order = plain(found["month"]), ""
            break
    else:
        found = _NUMBERS.search(text)
        if found is None:
            return None
        numbers, month = (int(found[1]), int(found[3]), int(found[4])), ""
        order = "ymd" if len(found[1]) == 4 else ""
    rest = f"{text[: found.start()]} {text[found.end() :]}".strip()
    time = _time_in(rest)
    clock, has_half = _clock(rest, time)
    digits = found[1] if order else (found["year"] if month else found[4])
    return _Parts(numbers, month, order == "ymd", not month and found[2] == ".", len(digits) < 4,
                  clock, has_half, _offset(rest, time), _unread(rest, time))  # fmt: skip


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _is_month(word: str) -> bool:
    return any(_month_in(language, word) for language in _languages())


def _time_in(text: str) -> re.Match[str] | None:
    return _TIME.search(text) or _HOUR.search(text)


def _clock(text: str, found: re.Match[str] | None) -> tuple[tuple[int, int, int], bool]:
    """Of the time that was found there, and whether it says which half of the day."""
    if found is None:
        return (0, 0, 0), False
    hour, minute, second = (int(part or 0) for part in found.groups())
    before, behind = text[: found.start()], text[found.end() :].replace(". m", ".m")
    around = [plain(word) for word in (*before.split()[-1:], *behind.split()[:1])]
    half = next((_halves()[word] for word in around if word in _halves()), None)
    if half is not None and hour <= 12:
        hour = hour % 12 + half
    return (hour, minute, second), half is not None


def _unread(text: str, time: re.Match[str] | None) -> str:
    """What of a time, or of its zone, we would leave out."""
    if time is None and re.search(r"\d", text):
        return text
    zones = _ZONE.findall(text)
    return zones[0] if zones and not any(zone in _ZONES for zone in zones) else ""


def _offset(text: str, time: re.Match[str] | None) -> timedelta | None:
    if _ZULU.search(text):
        return timedelta(0)
    found = time and (_GLUED.match(text, time.end()) or _OFFSET.search(text, time.end()))
    if found is None:
        words = re.findall(r"[A-Z]{3,4}", text)
        return next((timedelta(hours=_ZONES[word]) for word in words if word in _ZONES), None)
    offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    return -offset if found[1] == "-" else offset


def _moment(
    parts: _Parts, order: Order, languages: frozenset[str], zone: tzinfo = UTC
) -> datetime | None:
    a, b, c = parts.numbers
    if parts.month:
        # A whole name before the beginning of one: `mar` is March in most languages, and begins
        # November in Finnish.
        whole = {_languages()[one]["months"].get(parts.month) for one in languages} - {None}
        months = whole or {_month_in(language, parts.month) for language in languages} - {None}
        if len(months) != 1:
            return None
        day, month, year = a, months.pop() or 0, c
    elif parts.year_first or order == "ymd":
        year, month, day = a, b, c
    else:
        day, month, year = (a, b, c) if order == "dmy" else (b, a, c)
    if year < 100:
        year += 2000 if year < 70 else 1900
    zone = timezone(parts.offset) if parts.offset is not None else zone
    try:
        return datetime(year, month, day, *parts.clock, tzinfo=zone)
    except ValueError:
        return None


@dataclass(frozen=True)
class DateReader:
    """`zone` is that of times without an offset."""

    order: Order
    languages: frozenset[str]
    zone: tzinfo = UTC

    def read(self, text: str) -> datetime:
        """Raises AppError for a text that is no date."""
        if found := _iso(text, self.zone):
            return found
        parts = _parts(text)
        moment = _moment(parts, self.order, self.languages, self.zone) if parts else None
        if moment is None:
            raise AppError.invalid("date", f"{text[:40]!r} is not a date that we can read")
        if parts and parts.unread:
            message = f"{text[:40]!r} has a time that we cannot read: {parts.unread[:20]!r}"
            raise AppError.invalid("date", message)
        return moment

    def at_time(self, day: datetime, text: str) -> datetime:
        """The day at the time of day that another column says, in the zone that it says, if any; or
        the whole date that it says. Raises AppError for a text that is neither."""
        if looks_like_date(text):
            return self.read(text)
        time = _time_in(text) if len(text) <= LONGEST else None
        (hour, minute, second), _ = _clock(text, time)
        # 08:00 of 07:00-08:00 may be a zone, or the end.
        is_read = time is not None and text[time.end() :][:1] != "-"
        if not is_read or _unread(text, time) or (hour, minute, second) > (24, 0, 0):
            raise AppError.invalid("start", f"{text[:40]!r} is not a time of day that we can read")
        offset = _offset(text, time)
        zone = timezone(offset) if offset is not None else day.tzinfo
        moment = day.replace(hour=hour % 24, minute=minute, second=second, tzinfo=zone)
        return moment + timedelta(days=hour // 24)


def _iso(text: str, zone: tzinfo = UTC) -> datetime | None:
    """Also seconds and milliseconds since 1970."""
    text = text.strip()
    if _EPOCH.fullmatch(text):
        return datetime.fromtimestamp(int(text[:10]), UTC)
    if text[4:5] != "-" or text[10:11] not in ("", "T", "t", " "):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=zone)


def looks_like_date(text: str) -> bool:
    return _iso(text) is not None or _parts(text) is not None


def has_clock_time(text: str) -> bool:
    return len(text) <= LONGEST and _time_in(text) is not None


@dataclass
class DateSurvey:
    """What all dates of a column tell of their order and language."""

    now: datetime
    dates: int = 0
    ambiguous: int = 0
    wrong: Counter[Order] = field(default_factory=Counter)
    refuting: dict[Order, str] = field(default_factory=dict)  # the first that is wrong so
    turns: dict[Order, Counter[bool]] = field(
        default_factory=lambda: {o: Counter() for o in ORDERS}
    )
    last: dict[Order, datetime] = field(default_factory=dict)
    points: bool = False
    halves: bool = False
    has_short_years: bool = False
    languages: frozenset[str] = field(default_factory=lambda: frozenset(_languages()))
    example: str = ""

    def add(self, text: str) -> None:
        if _iso(text) or (parts := _parts(text)) is None:
            return
        self.dates += 1
        if parts.month:
            known = frozenset(one for one in self.languages if _month_in(one, parts.month))
            self.languages = known or self.languages
        elif not parts.year_first:
            self._add_ambiguous(text, parts)

    def _add_ambiguous(self, text: str, parts: _Parts) -> None:
        self.ambiguous += 1
        self.example = self.example or text
        self.points |= parts.point
        self.halves |= parts.has_half
        self.has_short_years |= parts.is_short
        for order in ORDERS:
            moment = _moment(parts, order, self.languages)
            if moment is None or moment > self.now + timedelta(days=1):
                self.wrong[order] += 1
                self.refuting.setdefault(order, text)
            elif (last := self.last.get(order)) and moment != last:
                self.turns[order][moment > last] += 1
            if moment:
                self.last[order] = moment

    def reader(self, wanted: Order | None, zone: tzinfo) -> DateReader:
        """Raises Question when the dates may be read in two ways."""
        return DateReader(wanted or self._order(), self.languages, zone)

    def _order(self) -> Order:
        if not self.ambiguous:
            return "dmy"
        orders = [one for one in ORDERS if one != "ymd" or self.has_short_years]
        for rule in (lambda one: self.wrong[one], self._disorder):
            least = min(map(rule, orders))
            orders = [one for one in orders if rule(one) == least]
        if len(orders) == 1:
            return orders[0]
        if self.points and "dmy" in orders:
            return "dmy"
        if self.halves and "mdy" in orders:
            return "mdy"
        if all(self.wrong[order] for order in orders):
            texts = " and ".join(repr(self.refuting[order][:20]) for order in orders)
            raise Question(
                f"no order of day and month suits all dates, see {texts}: say dates=dmy or"
                " dates=mdy, and rows that it does not suit are refused"
            )
        raise Question(
            f"dates like {self.example[:20]!r} may be read in two ways: say dates=dmy when the day"
            " stands first, dates=mdy when the month does"
        )

    def _disorder(self, order: Order) -> int:
        """How often the dates turn back: files go forward or backward in time."""
        return min(self.turns[order][True], self.turns[order][False])
