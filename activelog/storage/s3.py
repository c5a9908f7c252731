import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

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

from activelog.base.settings import S3
from activelog.storage.model import ObjectMissing, StorageError, Stored, content_disposition
from activelog.storage.threads import to_the_end

_PART_SIZE = 5 * 1024 * 1024  # the smallest; 10,000 parts at most: 50 GB
_NET_DAYS = 9  # exports expire after seven


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
        await to_the_end(self._put, key, path, content_type)
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
        with suppress(ObjectMissing), _errors():
            await asyncio.to_thread(self._client.remove_object, self._bucket, key)

    async def remove_all(self, keys: Sequence[str]) -> None:
        with suppress(ObjectMissing), _errors():
            await asyncio.to_thread(self._remove_all, keys)

    def _remove_all(self, keys: Sequence[str]) -> None:
        wanted = [DeleteObject(key) for key in keys]
        for error in self._client.remove_objects(self._bucket, wanted) if wanted else ():
            raise StorageError(f"the object store refused to delete: {error.code}")

    async def walk(
        self, prefix: str, page: int, after: str = ""
    ) -> AsyncGenerator[list[Stored], None]:
        found = self._client.list_objects(self._bucket, prefix, recursive=True, start_after=after)
        with suppress(ObjectMissing), _errors():
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


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        # (The bucket is made with the first object.)
        if error.code in ("NoSuchKey", "NoSuchObject", "NoSuchBucket"):
            raise ObjectMissing(error.object_name or "") from error
        raise StorageError(f"the object store refused: {error.code}") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise StorageError(f"the object store is away: {type(error).__name__}") from error


def _stored(found: Any) -> Stored:
    return Stored(found.object_name, found.size, found.last_modified)
