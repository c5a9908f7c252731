"""Figures as people say them, and words as they are kept."""

import unicodedata


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
