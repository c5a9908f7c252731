"""Objects: a bucket of any S3 server, or a folder. Both behave the same, and one test says so.

Everything is private; a browser gets at an object only by a link that expires. What takes long
happens in threads: both ways block.
"""

from activelog.base.settings import S3, Settings
from activelog.storage.folder import FILES_PATH, FolderStorage
from activelog.storage.model import (
    ObjectMissing,
    Storage,
    StorageError,
    Stored,
    content_disposition,
)
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
        return S3Storage(settings.storage)
    return FolderStorage(settings.storage, settings.base_url, settings.secret)
