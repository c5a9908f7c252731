"""Figures as people say them, and words as they are kept."""

import re
import unicodedata
from collections.abc import Sequence

# Spreadsheets take wide signs for plain ones, and some skip spaces before them. One that splits at
# semicolons or tabs begins a cell behind each of them, and behind each end of a line.
_SIGN = "[=+\\-@＝＋－＠]"
_START = rf"'*(?:[^\S\t\r\n]*{_SIGN}|(?=[\t\r\n]))"
_FORMULA = re.compile(rf"(^)({_START})|([;\t\r\n])('*[^\S\t\r\n]*{_SIGN})")
_ESCAPED = re.compile(rf"(^)'({_START})|([;\t\r\n])'('*[^\S\t\r\n]*{_SIGN})")
MOST_TYPES = 7  # of activities, that a chart tells apart
_MARKS = "=+-@＝＋－＠\t\r\n"
_PERHAPS = re.compile(rf"[,;\t\r\n]\"?'*\s*{_SIGN}|,\"?'*\t|,\"'*[\r\n]")


def duration(minutes: int) -> str:
    """`45 min`, `2 h`, `18 h 20 min`."""
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{rest} min"
    return f"{hours:,} h {rest} min" if rest else f"{hours:,} h"


def counted(number: float, noun: str) -> str:
    """`1 job`, `1 activity`, `1,280 jobs`; of a unit that has no plural, `2 s`, as it is."""
    one = noun.removesuffix("s") if len(noun) > 2 else noun
    if noun.endswith("ies"):
        one = noun.removesuffix("ies") + "y"
    return f"{number:,.10g} {one if number == 1 else noun}"


def with_others(sums: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The first MOST_TYPES; where there are more, the last one stands for all others."""
    if len(sums) <= MOST_TYPES:
        return list(sums)
    first, others = sums[: MOST_TYPES - 1], sums[MOST_TYPES - 1 :]
    return [*first, (f"{len(others)} other types", sum(number for _, number in others))]


def exact(number: float) -> str:
    """To the metre, without zeros at the end: `1234.567`, `1000000`."""
    return f"{number:.3f}".rstrip("0").rstrip(".")


def sentence(text: str) -> str:
    """With a capital at its beginning; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def as_stored(word: str) -> str:
    """A type or a tag as it is kept and looked for, however it was typed."""
    return unicodedata.normalize("NFC", word).strip()


def escape_formula(text: str) -> str:
    """As it goes into a CSV file: with a ' in front of what a spreadsheet would take for a formula,
    or of what looks like a text that is escaped already. The import takes one off."""
    return _FORMULA.sub(r"\1\3'\2\4", text)


def unescape_formula(text: str) -> str:
    """What escape_formula made longer; any other text as it is."""
    return _ESCAPED.sub(r"\1\3\2\4", text)


def may_hold_formula(lines: str) -> bool:
    """Whether some cell of these CSV lines, their first one apart, may need escape_formula."""
    has_mark = any(mark in lines for mark in _MARKS)  # most have none, and this is quick
    return has_mark and _PERHAPS.search(lines) is not None
