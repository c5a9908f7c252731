from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Any

import anyio
import pytest
from starlette.requests import Request

from activelog.exports import stream
from activelog.exports.model import CsvQuery
from tests.conftest import User, World
from tests.exports.test_csv_export import HEADER, download, request
from tests.imports.test_import import finish

PATH = "/api/v1/activities/export/csv/download"


async def fill(user: User, count: int) -> None:
    await user.world.rows(
        "INSERT INTO activities (user_id, activity_type, duration_minutes, distance_km,"
        " activity_date, notes) SELECT %s, 'run', 30, 5, timestamptz '2024-01-01Z'"
        " + make_interval(mins => n), 'one of many' FROM generate_series(1, %s) n",
        user.id, count,
    )  # fmt: skip


async def test_a_download_is_the_same_file_as_an_export(world: World) -> None:
    ada = await world.user()
    await fill(ada, 5000)
    streamed = await ada.get(f"{PATH}?start_date=2024-01-01&end_date=2024-01-31")
    assert streamed.status_code == 200
    assert streamed.headers["Content-Type"].startswith("text/csv")
    assert 'filename="activities-2024-01.csv"' in streamed.headers["Content-Disposition"]
    assert len(streamed.content) > 3 * 64 * 1024
    exported = await download(ada, await finish(ada, await request(ada)))
    assert streamed.content == exported
    other = await ada.get("/api/v1/export/activities/csv")
    assert other.content == exported
    assert 'filename="activities.csv"' in other.headers["Content-Disposition"]


async def test_nothing_to_download_is_a_header(world: World) -> None:
    ada = await world.user()
    assert (await ada.get(PATH)).content == HEADER
    assert (await ada.get(f"{PATH}?include_tags=false")).content == HEADER.replace(b"tags,", b"")
    assert (await ada.get(f"{PATH}?end_date=never")).status_code == 400
    assert (await world.http.get(PATH)).status_code == 401


async def test_a_client_that_goes_away_frees_the_connection(world: World) -> None:
    ada = await world.user()
    await fill(ada, 20_000)
    scope = {"type": "http", "app": world.app, "headers": [], "method": "GET", "path": PATH}
    response = await stream.download_csv(Request(scope), ada.id, CsvQuery())
    sent = 0

    async def send(message: Any) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))
        if sent > 100_000:
            raise OSError("the client is gone")

    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        return {}

    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever Starlette makes of it
        await response(scope, receive, send)
    assert sent < 400_000
    assert not world.services.streams.locked()
    await world.until(  # Postgres notices when it writes on
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE '%%COPY (%%'"
        " AND state = 'active' AND pid <> pg_backend_pid()"
    )
    assert (await ada.get(PATH)).status_code == 200


async def test_asking_for_the_headers_reads_nothing(world: World) -> None:
    ada = await world.user()
    await fill(ada, 10)
    shown = await ada.call("HEAD", f"{PATH}?gzip=true")
    assert shown.status_code == 200
    assert shown.headers["Content-Type"] == "application/gzip"
    assert "activities.csv.gz" in shown.headers["Content-Disposition"]
    job = await request(ada)
    with anyio.fail_after(5):
        followed = await ada.call("HEAD", f"{job['status_url']}/events")
    assert followed.headers["Content-Type"].startswith("text/event-stream")


async def test_more_downloads_than_there_is_room_for_are_put_off(world: World) -> None:
    ada = await world.user()
    for _ in range(8):
        await world.services.streams.acquire()
    busy = await ada.get(PATH)
    assert busy.status_code == 503
    assert int(busy.headers["Retry-After"]) > 0


async def test_history_goes_page_by_page_and_deleting_removes_the_file(
    world: World, tmp_path: Any
) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    jobs = [await request(ada) for _ in range(3)]
    await world.work()
    first = (await ada.get("/api/v1/export/history?limit=2")).json()
    rest = (await ada.get(f"/api/v1/export/history?cursor={first['next_cursor']}")).json()
    listed = [item["id"] for item in first["exports"] + rest["exports"]]
    assert listed == [job["job_id"] for job in reversed(jobs)]
    assert rest["next_cursor"] is None
    assert first["exports"][0]["job"]["status"] == "completed"
    assert "download_url" in first["exports"][0]["job"]["result"]
    assert (await eve.get("/api/v1/export/history")).json()["exports"] == []

    path = f"/api/v1/export/{jobs[0]['job_id']}"
    assert (await eve.call("DELETE", path)).status_code == 404
    assert (await ada.get(f"{path}/status")).json()["status"] == "completed"
    assert (await ada.call("DELETE", path)).status_code == 204
    assert (await ada.call("DELETE", path)).status_code == 404
    assert (await ada.get(f"{path}/status")).status_code == 404
    assert (await ada.get(f"{path}/download")).status_code == 404
    assert len(list((tmp_path / "objects").rglob("*.csv"))) == 2


async def test_deleting_one_that_waits_cancels_it(world: World) -> None:
    ada = await world.user()
    job = await request(ada)
    assert (await ada.call("DELETE", f"/api/v1/export/{job['job_id']}")).status_code == 204
    await world.work()
    assert await world.value("SELECT status::text FROM procrastinate_jobs") == "cancelled"
    assert world.mails(ada.address) == []


async def stalled(world: World, user: User, after: int = 1) -> tuple[Any, Any, Any]:
    """A response, and a client that takes nothing after so many messages."""
    scope = {"type": "http", "app": world.app, "headers": [], "method": "GET", "path": PATH}
    response = await stream.download_csv(Request(scope), user.id, CsvQuery())
    sent = 0

    async def send(message: Any) -> None:
        nonlocal sent
        sent += 1
        if sent > after:
            await anyio.sleep_forever()

    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        return {}

    return response, receive, send


async def test_readers_that_stop_reading_keep_nobody_from_anything(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await fill(ada, 20_000)
    async with anyio.create_task_group() as readers:
        for _ in range(2):
            response, receive, send = await stalled(world, ada)
            readers.start_soon(response, {"type": "http"}, receive, send)
        refused = await ada.get(PATH)
        assert (refused.status_code, refused.json()["error"]) == (429, "too many requests")
        assert (await bob.get(PATH)).status_code == 200
        # Postgres has handed over its rows, and is free of their snapshot.
        await world.until(
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_xmin IS NOT NULL"
            " AND datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert not world.services.streams.locked()
        readers.cancel_scope.cancel()
    assert (await ada.get(PATH)).status_code == 200


async def test_a_reader_that_stops_reading_is_cut(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_PATIENCE", 0.1)
    ada = await world.user()
    await fill(ada, 20_000)
    response, receive, send = await stalled(world, ada)
    with pytest.raises(BaseException) as raised, anyio.fail_after(10):  # noqa: PT011
        await response({"type": "http"}, receive, send)
    assert "TimeoutError" in repr(raised.value)
    assert not world.services.downloads._counts


async def test_a_person_follows_so_many_jobs_at_a_time(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    job, his = await request(ada), await request(bob)
    with ExitStack() as streams:
        for _ in range(10):
            streams.enter_context(world.services.followers(ada.id))
        assert (await ada.get(f"{job['status_url']}/events")).status_code == 429
    await world.work()
    assert (await bob.get(f"{his['status_url']}/events")).status_code == 200


async def test_a_file_that_the_disk_cut_breaks_the_download(world: World) -> None:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"x" * 1000

    spool = stream._Spool(chunks())
    await spool.begun()
    spool._file.truncate(10)
    with pytest.raises(OSError, match="shorter"), anyio.fail_after(5):
        assert [piece async for piece in spool.read()]
    await spool.close()
