"""What a storage does, and how it fails."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote


class StorageError(Exception):
    """The store did not do it; trying again later may help."""


class ObjectMissing(Exception):
    """No object has that key."""


@dataclass(frozen=True)
class Stored:
    key: str
    size: int  # bytes
    modified: datetime


class Storage(Protocol):
    async def put(self, key: str, path: Path, content_type: str) -> Stored:
        """Stores the file, replacing what is there; returns what the store then holds."""

    def open(self, key: str) -> Any:
        """`async with storage.open(key) as file`: a local, readable binary file."""

    async def stat(self, key: str) -> Stored:
        """Raises ObjectMissing."""

    async def presign(self, key: str, file_name: str, seconds: int) -> str:
        """A URL that downloads the object under `file_name` and works for `seconds`."""

    async def remove(self, key: str) -> None:
        """Harmless when there is none."""

    async def remove_all(self, keys: Sequence[str]) -> None:
        """A thousand at most; harmless for those that are not there."""

    def walk(self, prefix: str, page: int, after: str = "") -> AsyncGenerator[list[Stored], None]:
        """Pages of objects, in order of their keys; those behind `after`."""

    async def set_rules(self) -> None:
        """Sets bucket rules that expire exports and imports after nine days, in case our clean-up
        does not run. Leaves a bucket alone that has rules."""


def content_disposition(file_name: str) -> str:
    """RFC 6266: an ASCII name for old clients, the real one for the others."""
    plain = file_name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"
