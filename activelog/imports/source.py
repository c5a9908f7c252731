"""What each source of files brings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Fields = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """`parse` turns the cells of a row into the fields of a NewActivity; it raises AppError or
    ValueError for a row that it cannot read."""

    name: str
    columns: int
    parse: Callable[[Sequence[str]], Fields]
