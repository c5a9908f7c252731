"""Types of activity, as trackers name them in their languages, and what we call them."""

from functools import cache

from activelog.imports import words
from activelog.imports.words import plain


@cache
def _names() -> dict[str, str]:
    listed = words.load("kinds")["names"]
    return {name: kind for kind, names in listed.items() for name in words.listed(names)}


@cache
def _parts() -> list[tuple[str, str]]:
    listed = words.load("kinds")["parts"]
    return [(part, kind) for kind, parts in listed.items() for part in words.listed(parts)]


def is_known(text: str) -> bool:
    return plain(text) in _names() or any(part in plain(text) for part, _ in _parts())


def activity_kind(text: str) -> str:
    """One of ours where we know the name, else the name itself in small letters."""
    name = plain(text)
    if kind := _names().get(name):
        return kind
    known = next((kind for part, kind in _parts() if part in name), None)
    return known or " ".join(text.lower().split())
