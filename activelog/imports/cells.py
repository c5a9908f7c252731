"""What stands in the cells of trackers' files: numbers, durations."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from activelog.base.errors import AppError
from activelog.imports.words import plain

_EMPTY = ("", "--", "-", "none", "null", "n/a")
_GROUPED = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
LONGEST = 120  # characters of a date, a number or a duration
_CLOCK = re.compile(r"\d+(?::[0-5]?\d){1,2}(?:[.,]\d+)?")
_ISO = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", re.IGNORECASE)
_QUOTED = re.compile(r"(?:(\d+)\s*h\s*)?(\d+)\s*['′’]\s*(?:(\d+)\s*(?:[\"″”]|'')?)?")
_FRENCH = re.compile(r"(\d{1,3})\s?[hH]\s?(\d\d)")  # 1h30
_WORDS = re.compile(r"(?:(\d+(?:[.,]\d+)?)\s*([^\W\d_]+)\.?\s*)+")
_WORD = re.compile(r"(\d+(?:[.,]\d+)?)\s*([^\W\d_]+)")
# The words of all languages for hours, minutes and seconds begin with these letters. (A word of one
# letter is a unit by itself; `miles` and `metres` are none.)
_BEGINNINGS = {
    "h": 3600, "std": 3600, "st": 3600, "t": 3600, "u": 3600, "o": 3600, "g": 3600, "ч": 3600,
    "時": 3600, "时": 3600, "小": 3600, "시": 3600, "д": 60, "dk": 60, "мин": 60,
    "分": 60, "분": 60, "min": 60, "mn": 60, "s": 1, "с": 1, "秒": 1, "초": 1,
}  # fmt: skip


def is_empty(text: str) -> bool:
    return text.strip().casefold() in _EMPTY


def number(text: str, *, comma: bool | None = None) -> float | None:
    """None for an empty cell. With `comma` a lone comma is a decimal one, without it marks
    thousands; when it is not known, three digits behind a comma are thousands. Raises AppError."""
    if is_empty(text):
        return None
    if len(text) > LONGEST or "_" in text:
        raise AppError.invalid("number", f"{text[:40]!r} is not a number")
    cleaned = re.sub(r"(?<=\d)[\s\u00a0\u202f'’](?=\d{3}(?!\d))", "", text.strip())
    if "," in cleaned and "." in cleaned:
        thousands = "," if cleaned.rindex(",") < cleaned.rindex(".") else "."
        cleaned = cleaned.replace(thousands, "")
    elif comma is not True and _GROUPED.fullmatch(cleaned) and "," in cleaned:
        cleaned = cleaned.replace(",", "")
    elif comma and _GROUPED.fullmatch(cleaned) and cleaned.count(".") > 0:
        cleaned = cleaned.replace(".", "")
    try:
        found = float(cleaned.replace(",", "."))
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise AppError.invalid("number", f"{text[:40]!r} is not a number")
    return found


class Decimals:
    """What the numbers of a column tell of their decimal mark."""

    def __init__(self) -> None:
        self._marks: Counter[str] = Counter()

    def add(self, text: str) -> None:
        text = text.strip()
        last = max(text.rfind(","), text.rfind("."))
        if last < 0:
            return
        both = "," in text and "." in text
        grouped = _GROUPED.fullmatch(text) is not None
        if both or not grouped:  # 1.234,5 and 4,73 and 4731.5 tell; 5,000 does not
            self._marks[text[last]] += 1
        elif text.count(text[last]) > 1:
            self._marks["." if text[last] == "," else ","] += 1

    @property
    def comma(self) -> bool | None:
        """None when nothing tells, or both do."""
        if not self._marks or len(self._marks) > 1:
            return None
        return "," in self._marks


def whole(text: str) -> int | None:
    found = number(text)
    return None if found is None else round(found)


def is_clock(text: str) -> bool:
    return _CLOCK.fullmatch(text.strip()) is not None


def is_duration(text: str) -> bool:
    """Of texts that say their unit: `1:02:03`, `1h 6min`, `1h30`, `45'30"`, `PT1H`."""
    text = text.strip()
    if not 0 < len(text) <= LONGEST:
        return False
    forms = (_CLOCK, _QUOTED, _FRENCH, _ISO)
    return any(form.fullmatch(text) for form in forms) or bool(_words_of(text))


def seconds_of(text: str, unit: float = 60, *, comma: bool | None = None) -> float | None:
    """Of `45:00`, `1:02:03`, `00:45:00.5`, `1h 6min`, `PT1H30M`, or of a number of units of so many
    seconds. None for an empty cell. Raises AppError."""
    text = text.strip()
    text = text.strip('"') if text.startswith('"') else text
    if is_empty(text):
        return None
    seconds = _seconds_of(text, unit, comma) if len(text) <= LONGEST else math.inf
    if not math.isfinite(seconds):
        raise AppError.invalid("time", f"{text[:40]!r} is not a duration")
    return seconds


def _seconds_of(text: str, unit: float, comma: bool | None) -> float:
    if _CLOCK.fullmatch(text):
        return _clock_seconds(text)
    if quoted := _QUOTED.fullmatch(text):
        h, m, s = (int(part or 0) for part in quoted.groups())
        return float(h * 3600 + m * 60 + s)
    if french := _FRENCH.fullmatch(text):
        return float(int(french[1]) * 3600 + int(french[2]) * 60)
    if (found := _ISO.fullmatch(text)) and any(found.groups()):
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return hours * 3600 + minutes * 60 + seconds
    if parts := _words_of(text):
        return sum(amount * size for amount, size in parts)
    try:
        return (number(text, comma=comma) or 0) * unit
    except AppError:
        return math.inf


def _clock_seconds(text: str) -> float:
    seconds = 0.0
    for part in text.replace(",", ".").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def _words_of(text: str) -> list[tuple[float, int]]:
    """Amounts and the seconds of their units; empty when it is not made of them."""
    if not _WORDS.fullmatch(text):
        return []
    found = []
    for amount, word in _WORD.findall(text):
        word = "min" if plain(word) == "m" else word
        beginnings = [one for one in _BEGINNINGS if plain(word).startswith(plain(one))]
        if not beginnings:
            return []
        size = _BEGINNINGS[max(beginnings, key=len)]
        found.append((float(amount.replace(",", ".")), size))
    return found


def one_line(text: str) -> str:
    """Without control characters and what spaces there are too many of."""
    shown = (" " if unicodedata.category(letter) == "Cc" else letter for letter in text)
    return " ".join("".join(shown).split())


def cell(cells: Sequence[str], place: int | None) -> str:
    return cells[place] if place is not None and place < len(cells) else ""
