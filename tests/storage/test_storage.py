"""One contract, two stores: a folder and a real S3 server."""

import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from activelog.base.settings import S3, Settings
from activelog.storage import ObjectMissing, S3Storage, Storage, StorageError, Stored, make_storage
from tests.conftest import missing, running
from tests.exports.test_csv_export import request
from tests.real import radosgw
from tests.real.radosgw import Radosgw

pytestmark = [pytest.mark.xdist_group("s3"), pytest.mark.slow]


async def everything(storage: Storage, prefix: str) -> list[Stored]:
    """In pages of one, so that turning them is tested too."""
    return [found async for page in storage.walk(prefix, 1) for found in page]


@pytest.fixture(scope="module")
def s3() -> Iterator[Radosgw]:
    if not radosgw.is_installed():
        missing("radosgw")
    with (
        tempfile.TemporaryDirectory(prefix="activelog-s3-") as folder,
        radosgw.radosgw(Path(folder, "ceph"), 17480) as server,
    ):
        yield server


@pytest.fixture
def s3_settings(s3: Radosgw, settings: Settings) -> Settings:
    environ = {
        "ACTIVELOG_DATABASE_URL": settings.database_url,
        "ACTIVELOG_SECRET": settings.secret,
        "ACTIVELOG_STORAGE_URL": s3.storage_url,
    }
    return replace(settings, storage=Settings.from_env(environ).storage)


@pytest.fixture(params=["folder", "s3"])
async def store(
    request: pytest.FixtureRequest, settings: Settings
) -> AsyncIterator[tuple[Storage, httpx.AsyncClient]]:
    """The store and a client that can follow its links."""
    if request.param == "s3":
        found: Settings = request.getfixturevalue("s3_settings")
        async with httpx.AsyncClient() as client:
            yield make_storage(found), client
    else:
        async with running(settings) as world:
            yield make_storage(settings), world.http


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.csv"
    path.write_bytes(b"a,b\r\n1,2\r\n")
    return path


Store = tuple[Storage, httpx.AsyncClient]


async def test_put_open_stat_find_remove(store: Store, file: Path) -> None:
    storage, _ = store
    stored = await storage.put("exports/1/a.csv", file, "text/csv")
    assert stored.size == file.stat().st_size
    async with storage.open("exports/1/a.csv") as opened:
        assert opened.read() == file.read_bytes()
    assert (await storage.stat("exports/1/a.csv")).modified.tzinfo is not None
    await storage.put("exports/2/b.csv", file, "text/csv")
    assert [found.key for found in await everything(storage, "exports/")] == [
        "exports/1/a.csv",
        "exports/2/b.csv",
    ]
    assert [found.key for found in await everything(storage, "exports/1")] == ["exports/1/a.csv"]
    behind = [page async for page in storage.walk("exports/", 10, "exports/1/a.csv")]
    assert [found.key for page in behind for found in page] == ["exports/2/b.csv"]
    for key in ("exports/1/a.csv", "exports/2/b.csv", "exports/1/a.csv"):
        await storage.remove(key)
    assert await everything(storage, "exports/") == []


async def test_many_are_removed_at_once_and_the_store_has_rules(store: Store, file: Path) -> None:
    storage, _ = store
    keys = [f"imports/7/{number}.csv" for number in range(5)]
    for key in keys:
        await storage.put(key, file, "text/csv")
    await storage.remove_all([*keys[:4], "imports/7/none.csv"])
    assert [found.key for found in await everything(storage, "imports/7/")] == keys[4:]
    await storage.remove_all(keys)
    await storage.remove_all([])
    for _ in range(2):
        await storage.set_rules()
    if isinstance(storage, S3Storage):
        found: Any = storage._client.get_bucket_lifecycle(storage._bucket)
        assert {rule.rule_filter.prefix for rule in found.rules} == {"exports/", "imports/"}


async def test_put_replaces(store: Store, file: Path) -> None:
    storage, _ = store
    await storage.put("k", file, "text/csv")
    file.write_bytes(b"longer than it was before")
    assert (await storage.put("k", file, "text/csv")).size == 25
    await storage.remove("k")


async def test_what_is_not_there_is_missing(store: Store) -> None:
    storage, _ = store
    with pytest.raises(ObjectMissing):
        await storage.stat("exports/none")
    with pytest.raises(ObjectMissing):
        async with storage.open("exports/none"):
            pass


async def test_a_bucket_that_nobody_has_written_to_is_empty(s3_settings: Settings) -> None:
    assert isinstance(s3_settings.storage, S3)
    storage = S3Storage(replace(s3_settings.storage, bucket="not-there-yet"))
    assert [page async for page in storage.walk("exports/", 10)] == []
    await storage.remove("exports/1/a.csv")
    await storage.remove_all(["exports/1/a.csv"])
    await storage.set_rules()
    with pytest.raises(ObjectMissing):
        await storage.stat("exports/1/a.csv")
    with pytest.raises(ObjectMissing):
        async with storage.open("exports/1/a.csv"):
            pass


async def test_a_link_downloads_under_its_file_name(store: Store, file: Path) -> None:
    storage, client = store
    await storage.put("exports/1/a.csv", file, "text/csv")
    url = await storage.presign("exports/1/a.csv", "März 2024.csv", 60)
    response = await client.get(url)
    assert response.status_code == 200
    assert response.content == file.read_bytes()
    disposition = response.headers["Content-Disposition"]
    assert 'filename="M_rz 2024.csv"' in disposition
    assert "filename*=UTF-8''M%C3%A4rz%202024.csv" in disposition


async def test_without_a_genuine_link_nothing_is_given_out(store: Store, file: Path) -> None:
    storage, client = store
    await storage.put("exports/1/a.csv", file, "text/csv")
    url = await storage.presign("exports/1/a.csv", "a.csv", 60)
    assert (await client.get(url.split("?")[0])).status_code == 403
    assert (await client.get(url.replace("exports/1/a", "exports/2/a"))).status_code == 403
    assert (await client.get(url[:-3] + "xxx")).status_code == 403


async def test_a_link_expires(store: Store, file: Path) -> None:
    storage, client = store
    await storage.put("exports/1/a.csv", file, "text/csv")
    url = await storage.presign("exports/1/a.csv", "a.csv", 4)
    assert (await client.get(url)).status_code == 200
    await anyio.sleep(5.2)
    assert (await client.get(url)).status_code in (403, 410)


async def test_a_store_that_is_away_is_a_storage_error(s3_settings: Settings, file: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert isinstance(s3_settings.storage, S3)
    away = replace(s3_settings.storage, endpoint=f"127.0.0.1:{port}")
    with pytest.raises(StorageError):
        await S3Storage(away).put("k", file, "text/csv")


async def test_links_are_signed_for_the_public_address(s3_settings: Settings, s3: Radosgw) -> None:
    assert isinstance(s3_settings.storage, S3)
    public = replace(s3_settings.storage, public_url=f"http://localhost:{s3.port}")
    storage = S3Storage(public)
    url = await storage.presign("k", "k.csv", 60)
    assert urlsplit(url).hostname == "localhost"


async def test_an_export_by_way_of_s3(s3_settings: Settings) -> None:
    async with running(s3_settings) as world:
        ada = await world.user()
        await ada.log()
        job = await request(ada)
        await world.work()
        status = (await ada.get(job["status_url"])).json()
        link = await world.http.get(status["result"]["download_url"])
        async with httpx.AsyncClient() as browser:
            file = await browser.get(link.headers["Location"])
        assert file.status_code == 200
        assert len(file.content) == status["result"]["file_size"]
        assert file.headers["Content-Type"].startswith("text/csv")
