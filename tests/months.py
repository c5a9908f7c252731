"""`python -m tests.months` writes activelog/imports/words/months.json from CLDR, which
Babel carries: the names of months, and of the halves of a day, in the languages of trackers."""

import json
from pathlib import Path

from activelog.imports.words import plain

FILE = Path(__file__).parents[1] / "activelog" / "imports" / "words" / "months.json"
LANGUAGES = (
    "bg", "ca", "cs", "da", "de", "el", "en", "es", "es_MX", "et", "fi", "fr", "he", "hr", "hu",
    "id", "it", "ja", "ko", "lt", "lv", "ms", "nb", "nl", "pl", "pt", "pt_PT", "ro", "ru", "sk",
    "sl", "sv", "th", "tr", "uk", "vi", "zh", "zh_Hant",
)  # fmt: skip


def table() -> dict[str, dict[str, dict[str, int]]]:
    """By language: `months` with their numbers, and `halves` with 0 (am) or 12 (pm)."""
    return {language: {"months": _months(language), "halves": _halves(language)}
            for language in LANGUAGES}  # fmt: skip


def _months(language: str) -> dict[str, int]:
    from babel import Locale

    names: dict[str, int] = {}
    for widths in Locale.parse(language).months.values():
        for width in ("abbreviated", "wide"):
            for number, name in widths[width].items():
                word = plain(name)
                if word and not any(letter.isdigit() for letter in word):
                    names[word] = number
    return dict(sorted(names.items()))


def _halves(language: str) -> dict[str, int]:
    from babel import Locale

    names: dict[str, int] = {}
    for widths in Locale.parse(language).day_periods.values():
        for periods in widths.values():
            for half, hours in (("am", 0), ("pm", 12)):
                if len(word := plain(periods.get(half, ""))) > 1:
                    names[word] = hours
    return dict(sorted(names.items()))


if __name__ == "__main__":
    FILE.write_text(json.dumps(table(), ensure_ascii=False, indent=1) + "\n")
