import gzip
from pathlib import Path
from typing import Any

import pytest

from activelog.imports import csv_rows
from tests.conftest import User, World

HEADER = "id,activity_type,duration_minutes,distance_km,activity_date,tags,notes\r\n"


async def upload(user: User, text: str | bytes) -> dict[str, Any]:
    content = text.encode() if isinstance(text, str) else text
    accepted = await user.post("/api/v1/activities/import", content=content)
    assert accepted.status_code == 202, accepted.text
    job: dict[str, Any] = accepted.json()
    return job


async def finish(user: User, job: dict[str, Any]) -> dict[str, Any]:
    await user.world.work()
    status: dict[str, Any] = (await user.get(job["status_url"])).json()
    return status


async def test_good_rows_are_in_and_bad_ones_are_named_by_line(world: World) -> None:
    ada = await world.user()
    job = await upload(
        ada,
        HEADER
        + '1,running,45,7.5,2024-01-15T06:30:00Z,"morning,outdoor","Line one\r\nline two"\r\n'
        + "2,running,-5,7.5,2024-01-15T06:30:00Z,,\r\n"
        + "3,yoga,30,,2024-01-14T18:00:00Z,,\r\n"
        + "4,yoga,30,NaN,2024-01-14T18:00:00Z,,\r\n"
        + "5,yoga,30,0,yesterday,,\r\n"
        + "6,yoga,30,0\r\n"
        + "7,yoga,30,0,0001-01-01T00:00:00Z,,\r\n"
        + "\r\n"
        + "8,'=1+1,0,4000,2024-01-14T18:00:00Z,,'+1\r\n",
    )
    status = await finish(ada, job)
    assert status["status"] == "completed"
    result = status["result"]
    assert result["imported"] == 3
    assert result["rejected"] == 5
    reasons = {error["line"]: error["reason"] for error in result["errors"]}
    assert list(reasons) == [4, 6, 7, 8, 9]
    assert "duration_minutes" in reasons[4]
    assert "distance_km" in reasons[6]
    assert "activity_date" in reasons[7]
    assert "columns" in reasons[8]
    rows = await world.rows(
        "SELECT activity_type, notes, tags, distance_km FROM activities ORDER BY id"
    )
    assert rows == [
        ("running", "Line one\nline two", ["morning", "outdoor"], 7.5),
        ("yoga", "", [], 0),
        ("=1+1", "+1", [], 4000),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8"),
        ("activity_type,größe".encode("latin-1"), "not UTF-8"),
        (b"a,b,c\r\n1,2,3\r\n", "no column activity_type"),
        (HEADER.replace("notes", "notes,colour").encode(), "colour"),
        (b"x" * 300_000, "no column"),
        (b"", "no column"),
    ],
    ids=["picture", "latin-1", "other columns", "one column more", "one long line", "empty"],
)
async def test_files_that_are_no_activities_are_refused_at_once(
    world: World, text: bytes, says: str
) -> None:
    ada = await world.user()
    refused = await ada.post("/api/v1/activities/import", content=text)
    assert refused.status_code == 400
    assert says in refused.json()["message"]
    assert await world.value("SELECT count(*) FROM procrastinate_jobs") == 0


async def test_a_quote_that_never_ends_is_named(world: World) -> None:
    ada = await world.user()
    row = "1,ride,1,1,2024-01-01T00:00:00Z,,{}\r\n"
    text = HEADER + row.format("fine") + row.format('"open') + row.format("swallowed") * 3
    result = (await finish(ada, await upload(ada, text)))["result"]
    assert result["imported"] == 1
    assert result["errors"] == [{"line": 3, "reason": "begins a quote that never ends"}]


async def test_a_small_file_of_very_many_lines_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelog.imports.csv_rows.MOST_LINES", 1000)
    ada = await world.user()
    status = await finish(ada, await upload(ada, gzip.compress((HEADER + "\n" * 1000).encode())))
    assert status["status"] == "failed"
    assert "more than 1,000 lines" in status["error"]


async def test_a_line_of_two_megabytes_costs_its_row_only(world: World) -> None:
    ada = await world.user()
    text = HEADER + f"1,ride,1,1,2024-01-01T00:00:00Z,,{'x' * 2_000_000}\r\n"
    text += "2,ride,1,1,2024-01-01T00:00:00Z,,fine\r\n"
    result = (await finish(ada, await upload(ada, text)))["result"]
    assert (result["imported"], result["rejected"]) == (1, 1)
    assert result["errors"] == [{"line": 2, "reason": "is longer than 200,000 characters"}]


async def test_a_file_that_is_gone_fails_for_good(world: World, tmp_path: Path) -> None:
    ada = await world.user()
    job = await upload(ada, HEADER + "1,ride,1,1,2024-01-01T00:00:00Z,,\r\n")
    [file] = (tmp_path / "objects").rglob("*.csv")
    file.unlink()
    status = await finish(ada, job)
    assert status["status"] == "failed"
    assert status["retry_count"] == 0, "another run would only repeat it"
    assert status["error"] == "failed to import activities: the uploaded file is gone"


async def test_nothing_of_an_upload_stays_behind(world: World, tmp_path: Path) -> None:
    ada = await world.user()
    text = HEADER + "1,ride,1,1,2024-01-01T00:00:00Z,,\r\n"
    key = {"Idempotency-Key": "one"}
    for _ in range(2):
        await ada.post("/api/v1/activities/import", content=text.encode(), headers=key)
    other = await ada.post("/api/v1/activities/import", content=text.encode() * 2, headers=key)
    assert other.status_code == 422
    await upload(ada, text)
    await world.rows("UPDATE job_tickets SET cancelled_at = now() WHERE job_id IS NOT NULL")
    await world.work()
    assert [path for path in (tmp_path / "objects").rglob("*") if path.is_file()] == []


async def test_bytes_that_are_not_utf8_cost_their_row_only(world: World) -> None:
    ada = await world.user()
    text = HEADER.encode() + b"1,ride,1,1,2024-01-01T00:00:00Z,,caf\xe9\r\n"
    text += "2,ride,1,1,2024-01-01T00:00:00Z,,café\r\n".encode()
    result = (await finish(ada, await upload(ada, text)))["result"]
    assert (result["imported"], result["rejected"]) == (1, 1)
    assert result["errors"] == [{"line": 2, "reason": "is not UTF-8 text"}]


async def test_a_second_run_imports_nothing_twice(world: World) -> None:
    ada = await world.user()
    job = await upload(ada, HEADER + "1,ride,1,1,2024-01-01T00:00:00Z,,\r\n")
    await world.work()
    again = world.jobs.configure_task("activelog.activities.import_csv")
    async with world.jobs.open_async():
        await again.defer_async(ticket_id=job["job_id"])
    await world.work()
    assert await world.value("SELECT count(*) FROM activities") == 1


async def test_an_import_cancelled_before_it_ran_imports_nothing(world: World) -> None:
    ada = await world.user()
    job = await upload(ada, HEADER + "1,ride,1,1,2024-01-01T00:00:00Z,,\r\n")
    assert (await ada.call("DELETE", job["status_url"])).json()["status"] == "cancelled"
    await world.work()
    assert await world.value("SELECT count(*) FROM activities") == 0


async def test_the_real_file_survives_there_and_back(world: World) -> None:
    file = Path(__file__).parents[3] / "shared" / "data" / "activities.csv"
    if not file.exists():
        pytest.skip("the file of real activities is not beside this checkout")
    ada = await world.user()
    result = (await finish(ada, await upload(ada, file.read_bytes())))["result"]
    assert (result["imported"], result["rejected"]) == (1280, 0)


async def test_two_imports_of_one_file_at_once_import_it_once(world: World) -> None:
    ada = await world.user()
    text = HEADER + "".join(f"{n},ride,1,1,2024-01-01T{n:02}:00:00Z,,\r\n" for n in range(24))
    jobs = [await upload(ada, text) for _ in range(3)]
    await world.work()
    results = [(await ada.get(job["status_url"])).json()["result"] for job in jobs]
    assert sorted(result["duplicates"] for result in results) == [0, 24, 24]
    assert await world.value("SELECT count(*) FROM activities") == 24


async def test_more_imports_than_may_wait_are_refused(world: World) -> None:
    ada = await world.user()
    text = HEADER + "1,ride,1,1,2024-01-01T00:00:00Z,,\r\n"
    for _ in range(11):
        await upload(ada, text)
    refused = await ada.post("/api/v1/activities/import", content=text.encode())
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "30"
    assert await world.value("SELECT count(*) FROM imports") == 11


async def test_a_packed_file_is_unpacked(world: World) -> None:
    ada = await world.user()
    packed = gzip.compress((HEADER + "1,ride,1,1,2024-01-01T00:00:00Z,,\r\n" * 5000).encode())
    accepted = await ada.post("/api/v1/activities/import", content=packed)
    assert (await finish(ada, accepted.json()))["result"]["imported"] == 5000
    refused = await ada.post("/api/v1/activities/import", content=packed[:20])
    assert refused.status_code == 400
    assert "damaged" in refused.text
    accepted = await ada.post("/api/v1/activities/import", content=packed[:-20])
    status = await finish(ada, accepted.json())
    assert status["status"] == "failed"
    assert "damaged" in status["error"]


async def test_a_packed_file_without_an_end_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await world.user()
    endless = gzip.compress(b"a" * 20_000_000)
    refused = await ada.post("/api/v1/activities/import", content=endless)
    assert refused.status_code == 400
    assert "too long" in refused.text
    rows = gzip.compress(HEADER.encode() + b"a" * 20_000_000)
    monkeypatch.setattr(csv_rows._Lines.__init__, "__defaults__", (2_000_000,))
    status = await finish(ada, (await ada.post("/api/v1/activities/import", content=rows)).json())
    assert "too long" in status["error"]
