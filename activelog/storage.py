"""Objects: a bucket of any S3 server, or a folder. Both behave the same, and one test says so.

Everything is private; a browser gets at an object only by a link that expires. Both clients
block, so their work happens in threads.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import minio
import urllib3
from minio.commonconfig import ENABLED, Filter
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from minio.lifecycleconfig import (
    AbortIncompleteMultipartUpload,
    Expiration,
    LifecycleConfig,
    Rule,
)

from activelog import auth
from activelog.settings import S3, Folder, Settings

FILES_PATH = "/files/"
_PART_SIZE = 5 * 1024 * 1024  # the smallest; 10,000 parts at most: 50 GB
_NET_DAYS = 9  # exports expire after seven


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

    def walk(self, prefix: str, page: int) -> AsyncIterator[list[Stored]]:
        """Pages of objects, in order of their keys."""

    async def set_rules(self) -> None:
        """Has the store itself expire what our clean-up should have removed, as a net below it;
        rules that somebody set stay."""


def make_storage(settings: Settings) -> Storage:
    if isinstance(settings.storage, S3):
        return S3Storage(settings.storage)
    return FolderStorage(settings.storage, settings.base_url, settings.secret)


def content_disposition(file_name: str) -> str:
    """RFC 6266: an ASCII name for old clients, the real one for the others."""
    plain = file_name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"


class S3Storage:
    def __init__(self, settings: S3) -> None:
        self._bucket = settings.bucket
        self._region = settings.region
        self._client = _client(settings, settings.endpoint, secure=settings.secure)
        self._public = self._client
        if settings.public_url:
            # The host is part of a signature, so links are signed by a client of their own.
            url = urlsplit(settings.public_url)
            self._public = _client(settings, url.netloc, secure=url.scheme == "https")

    async def put(self, key: str, path: Path, content_type: str) -> Stored:
        await _finish(self._put, key, path, content_type)
        return await self.stat(key)

    def _put(self, key: str, path: Path, content_type: str) -> None:
        with _errors(), path.open("rb") as file:
            size = path.stat().st_size
            try:
                self._put_stream(key, file, size, content_type)
            except S3Error as error:
                if error.code != "NoSuchBucket":
                    raise
                self._make_bucket()
                file.seek(0)
                self._put_stream(key, file, size, content_type)

    def _put_stream(self, key: str, file: BinaryIO, size: int, content_type: str) -> None:
        # (One part at a time: with the client's three it holds six of them in memory, and to a
        # server nearby it was no faster.)
        self._client.put_object(
            self._bucket,
            key,
            file,
            size,
            content_type=content_type,
            part_size=_PART_SIZE,
            num_parallel_uploads=1,
        )

    def _make_bucket(self) -> None:
        try:
            self._client.make_bucket(self._bucket, self._region)
        except S3Error as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise

    @asynccontextmanager
    async def open(self, key: str) -> AsyncIterator[BinaryIO]:
        with tempfile.TemporaryFile() as file:
            await asyncio.to_thread(self._fetch, key, file)
            file.seek(0)
            yield file

    def _fetch(self, key: str, file: Any) -> None:
        with _errors():
            response = self._client.get_object(self._bucket, key)
            try:
                shutil.copyfileobj(response, file, 1024 * 1024)
            finally:
                response.close()
                response.release_conn()

    async def stat(self, key: str) -> Stored:
        with _errors():
            found = await asyncio.to_thread(self._client.stat_object, self._bucket, key)
        return _stored(found)

    async def presign(self, key: str, file_name: str, seconds: int) -> str:
        url: str = self._public.presigned_get_object(
            self._bucket,
            key,
            expires=timedelta(seconds=seconds),
            response_headers={"response-content-disposition": content_disposition(file_name)},
        )
        return url

    async def remove(self, key: str) -> None:
        with _errors():
            await asyncio.to_thread(self._client.remove_object, self._bucket, key)

    async def remove_all(self, keys: Sequence[str]) -> None:
        with _errors():
            await asyncio.to_thread(self._remove_all, keys)

    def _remove_all(self, keys: Sequence[str]) -> None:
        wanted = [DeleteObject(key) for key in keys]
        for error in self._client.remove_objects(self._bucket, wanted) if wanted else ():
            raise StorageError(f"the object store refused to delete: {error.code}")

    async def walk(self, prefix: str, page: int) -> AsyncIterator[list[Stored]]:
        found = self._client.list_objects(self._bucket, prefix, recursive=True)
        with _errors():
            while stored := await asyncio.to_thread(_take, found, page):
                yield stored

    async def set_rules(self) -> None:
        with _errors():
            await asyncio.to_thread(self._set_rules)

    def _set_rules(self) -> None:
        if self._client.bucket_exists(self._bucket) and not self._has_rules():
            self._client.set_bucket_lifecycle(self._bucket, LifecycleConfig(_RULES))

    def _has_rules(self) -> bool:
        try:
            return self._client.get_bucket_lifecycle(self._bucket) is not None
        except S3Error as error:
            if error.code == "NoSuchLifecycleConfiguration":
                return False
            raise


_RULES = [
    Rule(
        ENABLED,
        rule_filter=Filter(prefix=prefix),
        rule_id=f"activelog-{prefix.strip('/')}",
        expiration=Expiration(days=_NET_DAYS),
        abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(days_after_initiation=1),
    )
    for prefix in ("exports/", "imports/")
]


def _take(found: Iterator[Any], page: int) -> list[Stored]:
    return [_stored(item) for item in islice(found, page)]


def _client(settings: S3, endpoint: str, *, secure: bool) -> minio.Minio:
    # Without a region the client asks the server for it, also to sign for an outside address.
    return minio.Minio(
        endpoint,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        secure=secure,
        region=settings.region,
        http_client=urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=3, read=30), retries=urllib3.Retry(1)
        ),
    )


async def _finish(work: Callable[..., None], *arguments: Any) -> None:
    """In a thread, and to its end: a caller that is cancelled may then remove what was stored."""
    thread = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait([thread])
        raise


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code in ("NoSuchKey", "NoSuchObject"):
            raise ObjectMissing(error.object_name or "") from error
        raise StorageError(f"the object store refused: {error.code}") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise StorageError(f"the object store is away: {type(error).__name__}") from error


def _stored(found: Any) -> Stored:
    return Stored(found.object_name, found.size, found.last_modified)


class FolderStorage:
    """Objects as files. Their links are signed by us and served by `/files/…`."""

    def __init__(self, settings: Folder, base_url: str, secret: str) -> None:
        self._root = settings.path.resolve()
        self._base_url = base_url
        self._secret = secret

    async def put(self, key: str, path: Path, content_type: str) -> Stored:
        with _errors():
            await _finish(self._put, self._path(key), path)
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
        for key in keys:
            self._path(key).unlink(missing_ok=True)

    async def walk(self, prefix: str, page: int) -> AsyncIterator[list[Stored]]:
        found = self._walk(prefix)
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
