import asyncio
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlencode
from uuid import uuid4

from activelog.base import auth
from activelog.base.settings import Folder
from activelog.storage.model import ObjectMissing, StorageError, Stored
from activelog.storage.threads import to_the_end

FILES_PATH = "/files/"


class FolderStorage:
    """Objects as files. Their links are signed by us and served by `/files/…`."""

    def __init__(self, settings: Folder, base_url: str, secret: str) -> None:
        self._root = settings.path.resolve()
        self._base_url = base_url
        self._secret = secret

    async def put(self, key: str, path: Path, content_type: str) -> Stored:
        try:
            await to_the_end(self._put, self._path(key), path)
        except OSError as error:
            raise StorageError(f"the folder takes no file: {type(error).__name__}") from error
        return await self.stat(key)

    def _put(self, target: Path, path: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.{uuid4()}")
        try:
            shutil.copyfile(path, unfinished)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)

    @asynccontextmanager
    async def open(self, key: str) -> AsyncIterator[BinaryIO]:
        try:
            file = self._path(key).open("rb")
        except FileNotFoundError:
            raise ObjectMissing(key) from None
        with file:
            yield file

    async def stat(self, key: str) -> Stored:
        try:
            return self._stored(self._path(key))
        except FileNotFoundError:
            raise ObjectMissing(key) from None

    async def presign(self, key: str, file_name: str, seconds: int) -> str:
        expires = int(datetime.now(UTC).timestamp()) + seconds
        query = {
            "name": file_name,
            "expires": expires,
            "signature": auth.sign(self._secret, "file", key, file_name, expires),
        }
        return f"{self._base_url}{FILES_PATH}{quote(key)}?{urlencode(query)}"

    async def remove(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    async def remove_all(self, keys: Sequence[str]) -> None:
        await asyncio.to_thread(self._remove_all, keys)

    def _remove_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._path(key).unlink(missing_ok=True)

    async def walk(
        self, prefix: str, page: int, after: str = ""
    ) -> AsyncGenerator[list[Stored], None]:
        found = (stored for stored in self._walk(prefix) if stored.key > after)
        while stored := await asyncio.to_thread(lambda: list(islice(found, page))):
            yield stored

    def _walk(self, prefix: str) -> Iterator[Stored]:
        """Folder by folder; what is removed meanwhile is left out."""
        for folder, folders, names in os.walk(self._path(prefix.rpartition("/")[0])):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                key = path.relative_to(self._root).as_posix()
                if key.startswith(prefix) and not name.startswith("."):
                    with suppress(FileNotFoundError):
                        yield self._stored(path)

    async def set_rules(self) -> None:
        pass

    def path_of(self, key: str) -> Path:
        """Where the object lies, for serving it. Raises ObjectMissing."""
        path = self._path(key)
        if not path.is_file():
            raise ObjectMissing(key)
        return path

    def _path(self, key: str) -> Path:
        path = (self._root / key).resolve()
        if not path.is_relative_to(self._root):
            raise ObjectMissing(key)
        return path

    def _stored(self, path: Path) -> Stored:
        status = path.stat()
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        return Stored(str(path.relative_to(self._root)), status.st_size, modified)
