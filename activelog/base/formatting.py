"""Figures as people say them, and words as they are kept."""

import re
import unicodedata

# Spreadsheets take wide signs for plain ones, and some skip spaces before them.
_FORMULA = re.compile(r"'*(?:\s*[=+\-@＝＋－＠]|[\t\r\n])")


def duration(minutes: int) -> str:
    """`45 min`, `2 h`, `18 h 20 min`."""
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{rest} min"
    return f"{hours:,} h {rest} min" if rest else f"{hours:,} h"


def sentence(text: str) -> str:
    """With a capital at its beginning; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def as_stored(word: str) -> str:
    """A type or a tag as it is kept and looked for, however it was typed."""
    return unicodedata.normalize("NFC", word).strip()


def escape_formula(text: str) -> str:
    """As it goes into a CSV file: with a ' in front where a spreadsheet would take it for a
    formula, or where it begins like a text that is escaped already. The import takes one off."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(text: str) -> str:
    """What escape_formula made longer; any other text as it is."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text
