import csv
import gzip
import io
import json
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from activelog.imports import importing, table
from tests.conftest import User, World
from tests.imports.test_evidence import read

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


async def test_texts_come_in_as_they_are(world: World) -> None:
    ada = await world.user()
    notes = "first\n\\.\n\\N\ttab \\ \"quoted\" 'one' {a,b} \u2028 🏃"
    tags = ['a "b"', "back\\slash", "{c}", "NULL", "d'e"]
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(
        ["activity_type", "duration_minutes", "distance_km", "activity_date", "tags", "notes"]
    )
    rows.writerow(["run \\N", 5, 1, "2024-01-15T06:30:00Z", ",".join(tags), notes])
    rows.writerow(["run", 6, 1, "2024-01-16T06:30:00Z", "", ""])
    done = await finish(ada, await upload(ada, text.getvalue()))
    assert done["result"]["imported"] == 2, done["result"]["errors"]
    plain, odd = (await ada.get("/api/v1/activities")).json()["activities"]
    assert (odd["activity_type"], odd["notes"]) == ("run \\N", notes)
    assert sorted(odd["tags"]) == sorted(tags)
    assert (plain["notes"], plain["tags"], plain.get("calories")) == ("", [], None)


async def test_no_transaction_is_open_while_a_file_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await world.user()
    open_ones: list[Any] = []
    read = importing._read_batch

    def look(*args: Any) -> bool:
        with psycopg.connect(world.settings.database_url) as conn:
            open_ones.extend(
                conn.execute(
                    "SELECT query FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid() AND xact_start < now() - interval '0.2 s'"
                ).fetchall()
            )
        time.sleep(0.25)
        return read(*args)

    monkeypatch.setattr(importing, "_read_batch", look)
    done = await finish(ada, await upload(ada, f"{HEADER}1,run,5,1,2024-01-15T06:30:00Z,,\r\n"))
    assert done["result"]["imported"] == 1
    assert open_ones == []


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
        (b"\x89PNG\r\n\x1a\n\x00\x00", "no text"),
        ("activity_type,größe".encode("latin-1"), "no column duration_minutes"),
        (b"a,b,c\r\n1,2,3\r\n", "no column of dates"),
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
    [error] = result["errors"]
    assert (error["line"], error["reason"]) == (3, "begins a quote that never ends")


async def test_a_small_file_of_very_many_lines_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelog.imports.table.MOST_LINES", 1000)
    ada = await world.user()
    packed = gzip.compress((HEADER + "\n" * 1000).encode())
    refused = await ada.post("/api/v1/activities/import", content=packed)
    assert refused.status_code == 400
    assert "more than 1,000 lines" in refused.text


async def test_a_line_of_two_megabytes_costs_its_row_only(world: World) -> None:
    ada = await world.user()
    text = HEADER + f"1,ride,1,1,2024-01-01T00:00:00Z,,{'x' * 2_000_000}\r\n"
    text += "2,ride,1,1,2024-01-01T00:00:00Z,,fine\r\n"
    result = (await finish(ada, await upload(ada, text)))["result"]
    assert (result["imported"], result["rejected"]) == (1, 1)
    [error] = result["errors"]
    assert (error["line"], error["reason"]) == (2, "is longer than 200,000 characters")


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
    [error] = result["errors"]
    assert (error["line"], error["reason"]) == (2, "is not UTF-8 text")
    assert error["says"].startswith("1,ride")


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
    cut = await ada.post("/api/v1/activities/import", content=packed[:-20])
    assert cut.status_code == 400
    assert "damaged" in cut.text


async def test_a_packed_file_without_an_end_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await world.user()
    endless = gzip.compress(b"a" * 20_000_000)
    refused = await ada.post("/api/v1/activities/import", content=endless)
    assert refused.status_code == 400
    assert "too long" in refused.text
    rows = gzip.compress(HEADER.encode() + b"a" * 20_000_000)
    monkeypatch.setattr(table, "LONGEST_FILE", 2_000_000)
    refused = await ada.post("/api/v1/activities/import", content=rows)
    assert refused.status_code == 400
    assert "too long" in refused.text


GARMIN = "Activity Type,Date,Favorite,Title,Distance,Calories,Time\n"


async def test_a_run_from_another_tracker_is_reported_and_left_out_on_request(world: World) -> None:
    ada = await world.user()
    await finish(ada, await upload(ada, HEADER + "1,run,50,10.02,2024-01-15T06:30:20Z,,\r\n"))
    text = GARMIN + "Running,2024-01-15 07:30:00,false,Park,10.00,500,00:50:30\n"
    text += "Running,2024-01-16 07:30:00,false,Park,10.00,500,00:50:30\n"
    for query, imported in (("?dry_run=true", 2), ("?similar=skip", 1), ("", 1)):
        path = f"/api/v1/activities/import{query}"
        job = (await ada.post(path, content=text.encode())).json()
        result = (await finish(ada, job))["result"]
        assert result["imported"] == imported
        [similar] = result["similar"]
        assert (similar["line"], similar["activity_date"]) == (2, "2024-01-15T06:30:20Z")
    assert await world.value("SELECT count(*) FROM activities") == 3


async def test_what_a_report_advises_mends_what_came_in(world: World) -> None:
    """And nothing is there twice, whether the rows say a time or a day alone."""
    ada = await world.user()
    for dates in (("2024-02-03 07:00", "2024-02-04 07:30"), ("2024-03-03", "2024-03-04")):
        text = f"date,duration,distance\n{dates[0]},30,3\n{dates[1]},31,3\n"
        first = (await finish(ada, await upload(ada, text)))["result"]
        assert first["imported"] == 2
        for query, corrected, there in (
            ("?units=mi&dry_run=true", 2, 0),
            ("?units=mi&type=running", 2, 0),
            ("?units=mi&type=running", 0, 2),
        ):
            path = f"/api/v1/activities/import{query}"
            job = (await ada.post(path, content=text.encode())).json()
            result = (await finish(ada, job))["result"]
            assert (result["imported"], result["corrected"], result["duplicates"]) == (
                0, corrected, there)  # fmt: skip
    rows = await world.rows("SELECT DISTINCT activity_type, distance_km FROM activities")
    assert rows == [("running", 4.828)]
    assert await world.value("SELECT count(*) FROM activities") == 4


async def test_nothing_but_the_same_file_is_mended(world: World) -> None:
    ada = await world.user()
    path = "/api/v1/activities/import?type=running&units=km"

    async def bring(text: str, query: str = path) -> dict[str, Any]:
        found: dict[str, Any] = await finish(
            ada, (await ada.post(query, content=text.encode())).json()
        )
        return found["result"]  # type: ignore[no-any-return]

    header = "date,duration,title\n"
    await bring(f"{header}2024-02-03,30,yoga at home\n", "/api/v1/activities/import")
    other = await bring(f"{header}2024-02-03,30,run in the park\n2024-02-05,40,by the river\n")
    assert (other["imported"], other["corrected"]) == (2, 0)
    alike = "date,duration,distance\n2024-03-03,30,3\n2024-03-03,30,4.828\n"
    await bring(alike)
    for _ in range(2):
        again = await bring(alike)
        assert (again["imported"], again["corrected"], again["duplicates"]) == (0, 0, 2)


async def test_a_file_that_comes_again_in_another_zone_is_there_already(world: World) -> None:
    ada = await world.user()
    text = "date,duration,distance,type\n2024-02-03 07:00,30,3,run\n2024-02-04,31,3,run\n"
    path = "/api/v1/activities/import?zone="
    for zone, imported in (("Europe/Berlin", 2), ("America/New_York", 0)):
        job = (await ada.post(path + zone, content=text.encode())).json()
        result = (await finish(ada, job))["result"]
        assert result["imported"] == imported
    assert result["duplicates"] == 2
    assert any("another time zone" in remark for remark in result["remarks"])


async def test_the_report_says_units_doubts_and_what_to_do(world: World) -> None:
    ada = await world.user()
    text = GARMIN + "Running,2024-01-15 07:30:00,false,Park,100.00,500,00:50:30\n"
    text += "Running,someday,false,Park,10.00,500,00:50:30\n"
    result = (await finish(ada, await upload(ada, text)))["result"]
    assert result["units"]["distance"] == "kilometres"
    assert any("units=mi" in remark for remark in result["remarks"])
    [doubt], [error] = result["doubts"], result["errors"]
    assert (doubt["line"], error["line"]) == (2, 3)
    assert "100 km" in doubt["says"]
    assert "someday" in error["says"]
    assert doubt["advice"]
    assert error["advice"]


async def test_a_question_changes_nothing_and_names_the_parameter(world: World) -> None:
    ada = await world.user()
    text = "Date,Duration\n03/04/2024,30:00\n"
    status = await finish(ada, await upload(ada, text))
    assert status["status"] == "failed"
    assert "dates=dmy" in status["error"]
    assert await world.value("SELECT count(*) FROM activities") == 0
    answered = await ada.post("/api/v1/activities/import?dates=dmy", content=text.encode())
    assert (await finish(ada, answered.json()))["result"]["imported"] == 1


SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "imports"


def test_real_files_of_trackers_come_in_exactly() -> None:
    if not SAMPLES.exists():
        pytest.skip("the real files of trackers are not beside this checkout")
    wrong = {}
    for name, expected in json.loads((SAMPLES / "expected.json").read_text()).items():
        good, _, _ = read((SAMPLES / name).read_bytes())
        kilometres = sum(row.values.distance_km for row in good)
        hours = sum(row.values.duration_minutes for row in good) / 60
        found = len(good), pytest.approx(kilometres, abs=0.06), pytest.approx(hours, abs=0.06)
        if found != (expected["rows"], expected["kilometres"], expected["hours"]):
            wrong[name] = found
    assert wrong == {}


DAYS = (
    "Date,Type,Minutes,Distance (km)\n2026-05-01,Run,30,5\n2026-05-01,Run,30,6.2\n"
    "2026-05-02,Run,45,8\n2026-05-03,Run,30,5\n2026-05-03,Run,30,5\n"
)


async def test_runs_of_other_distances_on_one_day_are_different_ones(world: World) -> None:
    ada = await world.user()
    result = (await finish(ada, await upload(ada, DAYS)))["result"]
    assert (result["imported"], result["duplicates"]) == (4, 1)
    assert "rows that repeat one before them were left out: line 6" in result["remarks"]
    result = (await finish(ada, await upload(ada, DAYS)))["result"]
    assert (result["imported"], result["duplicates"]) == (0, 5)
    timed = "Date,Type,Minutes,Distance (km)\n2026-05-09 07:30,Run,30,42\n"
    assert (await finish(ada, await upload(ada, timed)))["result"]["imported"] == 1
    await world.rows("UPDATE activities SET distance_km = 4.2 WHERE distance_km = 42")
    again = (await finish(ada, await upload(ada, timed)))["result"]
    assert (again["imported"], again["duplicates"]) == (0, 1), "its distance was corrected"
    later = "Date,Type,Minutes,Distance (km)\n2026-05-01,Run,30,9\n"
    assert (await finish(ada, await upload(ada, later)))["result"]["imported"] == 1
