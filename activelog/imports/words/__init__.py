"""Words of many languages: of headers and of types, by hand; of months, from CLDR."""

import tomllib
import unicodedata
from pathlib import Path
from typing import Any


def plain(text: str) -> str:
    """A word without case, marks, spaces and points: `Août`, `aout.` and `AOUT` are one."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in letters if one.isalnum())


def load(name: str) -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text("utf-8"))


def listed(names: str) -> list[str]:
    return [word for name in names.split(",") if (word := plain(name))]
