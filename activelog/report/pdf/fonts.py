"""Which font has which character."""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "fonts"
REGULAR = _FOLDER / "Inter-Latin-Regular.ttf"
BOLD = _FOLDER / "Inter-Latin-SemiBold.ttf"
# The same, half as large, for documents without accents.
BASIC_REGULAR = _FOLDER / "Inter-Basic-Regular.ttf"
BASIC_BOLD = _FOLDER / "Inter-Basic-SemiBold.ttf"
MISSING = "□"  # stands for a character that no font has

# In the order in which they are asked. Licences: fonts/README.md.
_FALLBACKS = [
    _FOLDER / name
    for name in (
        "Inter-Regular.ttf",
        "NotoSansArabic.ttf",
        "NotoSansHebrew.ttf",
        "NotoEmoji.ttf",
        "DroidSansFallback.ttf",
        "DejaVuSans.ttf",
    )
]
# Unicode's Default_Ignorable_Code_Point beside the category Cf: fillers, variation selectors.
_IGNORABLE = {
    0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2065, 0x3164,
    *range(0xFE00, 0xFE10), 0xFFA0, *range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000),
}  # fmt: skip
JOINERS = "\u200c\u200d"  # they make one sign of several emoji, and part Persian letters


@cache
def coverage(path: Path) -> frozenset[int]:
    from fontTools.ttLib import TTFont  # loaded by those only that draw

    with TTFont(path, lazy=True) as font:
        return frozenset(font.getBestCmap())


@cache
def _latin() -> frozenset[int]:
    return coverage(REGULAR) & coverage(BOLD)


def is_latin(text: str) -> bool:
    """Whether the two fonts that are always loaded can draw it."""
    return (text.isascii() and text.isprintable()) or _latin().issuperset(map(ord, text))


def smallest(texts: Iterable[str]) -> tuple[Path, Path]:
    """The regular and the bold font that draw the Latin letters of these texts."""
    basic = coverage(BASIC_REGULAR) & coverage(BASIC_BOLD)
    used = {ord(letter) for text in texts if not text.isascii() for letter in text}
    return (REGULAR, BOLD) if used & _latin() - basic else (BASIC_REGULAR, BASIC_BOLD)


def needed(texts: Iterable[str], more: Sequence[str]) -> list[Path]:
    """The fallback fonts that these texts need, in the order in which they are to be asked."""
    foreign = {letter for text in texts if not is_latin(text) for letter in text}
    left = {ord(letter) for letter in foreign if not _is_invisible(letter)} - _latin()
    found = []
    for path in [*_FALLBACKS, *map(Path, more)]:
        if not left:
            break
        if has := left & coverage(path):
            found.append(path)
            left -= has
    return found


def substitute(text: str, loaded: Sequence[Path]) -> str:
    """With a box for each character that no loaded font has, and without invisible ones, but for
    joiners that have something to join."""
    letters = [letter for letter in text if letter in JOINERS or not _is_invisible(letter)]
    shown = []
    for before, letter, after in zip(["", *letters], letters, [*letters[1:], ""], strict=False):
        if letter in JOINERS:
            shown.append(letter if _joins(before, letter, after, loaded) else "")
        else:
            shown.append(letter if _is_drawn(ord(letter), loaded) else MISSING)
    return "".join(shown)


def _joins(before: str, joiner: str, after: str, loaded: Sequence[Path]) -> bool:
    font = _fallback_of(before, loaded)
    return (
        font is not None and font == _fallback_of(after, loaded) and ord(joiner) in coverage(font)
    )


def _fallback_of(letter: str, loaded: Sequence[Path]) -> Path | None:
    if not letter or letter in JOINERS or ord(letter) in _latin():
        return None
    return next((path for path in loaded if ord(letter) in coverage(path)), None)


def _is_invisible(letter: str) -> bool:
    """Joiners, marks of direction and the like shape their neighbours; alone they show nothing,
    and some of them no font's shaping survives."""
    return unicodedata.category(letter) == "Cf" or ord(letter) in _IGNORABLE


def _is_drawn(code: int, loaded: Sequence[Path]) -> bool:
    is_control = code < 0x20  # for which some fonts have a glyph without a picture
    return not is_control and (code in _latin() or any(code in coverage(path) for path in loaded))
