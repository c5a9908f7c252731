"""Passwords that anybody guesses first are refused.

common_passwords.txt has those of ten characters and more among the 50,000 commonest, in small
letters (from Django, BSD licence, and zxcvbn, MIT licence).
"""

from functools import cache
from pathlib import Path

from activelog.base.errors import AppError

_FEWEST_LETTERS = 5
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb",
)


def check_password(password: str, *about: str) -> None:
    """Raises AppError for one that is easy to guess; `about` is what is known of its owner."""
    plain = password.lower()
    if plain in _common() or plain.rstrip("0123456789!.?*#") in _common():
        reason = "is one of the commonest"
    elif len(set(plain)) < _FEWEST_LETTERS or _repeats(plain):
        reason = "repeats the same few characters"
    elif any(plain in row * 2 or plain in row[::-1] * 2 for row in _ROWS):
        reason = "follows the alphabet or the keyboard"
    elif any(len(word) > 3 and plain.strip("0123456789!.?") == word.lower() for word in about):
        reason = "is your name or address"
    else:
        return
    raise AppError.invalid("password", f"{reason}; choose one that nobody guesses")


def _repeats(text: str) -> bool:
    """`abcabcabcabc`"""
    return text in (text + text)[1:-1] and len(text) > 1 and len(set(text)) < len(text) // 2


@cache
def _common() -> frozenset[str]:
    text = Path(__file__).with_name("common_passwords.txt").read_text("utf-8")
    return frozenset(text.split("\n")) - {""}
