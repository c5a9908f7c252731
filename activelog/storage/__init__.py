"""Objects: a bucket of any S3 server, or a folder. Both behave the same, and one test says so.

Everything is private; a browser gets at an object only by a link that expires. What takes long
happens in threads: both ways block. Only who keeps objects in a bucket loads the client of S3.
"""

from typing import TYPE_CHECKING, Any

from activelog.base.settings import S3, Settings
from activelog.storage.folder import FILES_PATH, FolderStorage
from activelog.storage.model import (
    ObjectMissing,
    Storage,
    StorageError,
    Stored,
    content_disposition,
)

if TYPE_CHECKING:
    from activelog.storage.s3 import S3Storage

__all__ = [
    "FILES_PATH",
    "FolderStorage",
    "ObjectMissing",
    "S3Storage",
    "Storage",
    "StorageError",
    "Stored",
    "content_disposition",
    "make_storage",
]


def make_storage(settings: Settings) -> Storage:
    if isinstance(settings.storage, S3):
        from activelog.storage.s3 import S3Storage

        return S3Storage(settings.storage)
    return FolderStorage(settings.storage, settings.base_url, settings.secret)


def __getattr__(name: str) -> Any:
    if name == "S3Storage":
        from activelog.storage.s3 import S3Storage

        return S3Storage
    raise AttributeError(name)
