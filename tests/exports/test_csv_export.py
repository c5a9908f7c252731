import csv
import gzip
import hashlib
import io
import re
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import anyio
import pytest

from activelog import database
from activelog.base.settings import Folder
from activelog.storage import FolderStorage
from tests import processes
from tests.conftest import User, World
from tests.imports.test_import import finish, upload

HEADER = b"id,activity_type,duration_minutes,distance_km,activity_date,tags,notes\r\n"


async def request(user: User, **body: Any) -> dict[str, Any]:
    accepted = await user.post("/api/v1/activities/export/csv", json=body)
    assert accepted.status_code == 202, accepted.text
    assert accepted.headers["Location"] == accepted.json()["status_url"]
    job: dict[str, Any] = accepted.json()
    return job


async def download(user: User, status: dict[str, Any]) -> bytes:
    link = await user.world.http.get(status["result"]["download_url"])
    assert link.status_code == 302, link.text
    file = await user.world.http.get(link.headers["Location"])
    assert file.status_code == 200
    return file.content


async def test_an_export_as_the_specification_shows_it(world: World) -> None:
    ada = await world.user()
    await ada.log(activity_type="yoga", duration_minutes=30, distance_km=0, notes="Evening yoga",
                  activity_date="2024-01-14T18:00:00Z", tags=["evening", "stretch"])  # fmt: skip
    await ada.log(notes="Morning run", tags=["morning", "outdoor", "cardio"])
    job = await request(ada, start_date="2024-01-01T00:00:00Z", end_date="2024-01-31T23:59:59Z",
                        include_tags=True)  # fmt: skip
    assert job["message"] == "export job started"
    waiting = await ada.get(job["status_url"])
    assert waiting.json()["status"] == "pending"
    assert waiting.headers["Retry-After"] == "1"

    status = await finish(ada, job)
    assert status["status"] == "completed"
    assert status["progress"] == 100
    assert status["result"]["record_count"] == 2
    content = await download(ada, status)
    assert len(content) == status["result"]["file_size"]
    assert content.decode() == (
        "id,activity_type,duration_minutes,distance_km,activity_date,tags,notes\r\n"
        '2,running,45,7.5,2024-01-15T06:30:00Z,"morning,outdoor,cardio",Morning run\r\n'
        '1,yoga,30,0,2024-01-14T18:00:00Z,"evening,stretch",Evening yoga\r\n'
    )


async def test_it_is_announced_by_mail_once_it_is_there(world: World) -> None:
    ada = await world.user()
    await ada.log()
    status = await finish(ada, await request(ada))
    [mail] = world.mails(ada.address)
    assert mail["Subject"] == "Your export is ready: 1 activity"
    assert status["result"]["download_url"] in mail.get_body(("plain",)).get_content()


async def test_many_exports_are_told_of_together(world: World) -> None:
    ada = await world.user()
    await ada.log()
    for _ in range(6):  # at once, one after the other: the first mail leaves, the others gather
        await finish(ada, await request(ada))
    assert [mail["Subject"] for mail in world.mails(ada.address)] == [
        "Your export is ready: 1 activity"
    ]
    await world.make_due()
    await world.work()
    _, second = world.mails(ada.address)
    assert second["Subject"] == "5 exports are ready"
    assert len(told(world, ada)) == len(set(told(world, ada))) == 6


async def test_exports_of_a_mail_that_failed_stand_in_the_next_one(world: World) -> None:
    ada = await world.user()
    await ada.log()
    await finish(ada, await request(ada))
    await world.rows("UPDATE mails SET state = 'failed', created_at = now() - interval '2 days'")
    await finish(ada, await request(ada))
    assert world.mails(ada.address)[-1]["Subject"] == "2 exports are ready"


def told(world: World, user: User) -> list[str]:
    """The exports that mails tell of."""
    texts = [mail.get_body(("plain",)).get_content() for mail in world.mails(user.address)]
    return [found for text in texts for found in re.findall(r"/export/([0-9a-f-]{36})/", text)]


async def test_without_tags_there_is_no_column_for_them(world: World) -> None:
    ada = await world.user()
    await ada.log(tags=["secret"])
    content = await download(ada, await finish(ada, await request(ada, include_tags=False)))
    assert content.startswith(
        b"id,activity_type,duration_minutes,distance_km,activity_date,notes\r\n"
    )
    assert b"secret" not in content


async def test_more_columns_by_name_and_back(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await ada.log(title="=Bridge", calories=430, moving_minutes=43,
                  activity_date="2024-01-15T06:30:00-03:30")  # fmt: skip
    names = "start_local,title,calories,moving_minutes,source,title"
    content = await download(ada, await finish(ada, await request(ada, columns=names)))
    assert content.decode().splitlines() == [
        (
            "id,activity_type,duration_minutes,distance_km,activity_date,tags,notes,"
            "start_local,title,calories,moving_minutes,source"
        ),
        "1,running,45,7.5,2024-01-15T10:00:00Z,,,2024-01-15T06:30:00-03:30,'=Bridge,430,43,",
    ]
    path = "/api/v1/activities/export/csv/download"
    assert (await ada.get(path, params={"columns": names})).content == content
    await finish(bob, await upload(bob, content))
    kept = (
        "SELECT title, calories, moving_minutes, utc_offset, activity_date FROM activities"
        " WHERE user_id = %s"
    )
    assert await world.rows(kept, ada.id) == await world.rows(kept, bob.id)
    for wrong in ("password_hash", "title;source", "", "title,"):
        refused = await ada.get(path, params={"columns": wrong})
        assert refused.status_code == 400
        assert "start_local" in refused.text


NASTY = ["＝1+1", " =1+1", "＋1", "　@x",
         "=1+1", "+1", "-1", "@x", "\t=x", "'=1+1", "''=x", "'quoted'", 'a "b" c', "a,b", "a\nb",
         "\n", "🎉 晚间跑步 שלום", "\\.", "NULL", "'", " "]  # fmt: skip


async def test_texts_are_guarded_against_spreadsheets_and_come_back_as_they_were(
    world: World,
) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    for minute, notes in enumerate(NASTY):
        await ada.log(notes=notes, activity_date=f"2024-01-15T06:{minute:02}:00Z", tags=["=a", "b"])
    content = await download(ada, await finish(ada, await request(ada)))
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    for row in rows:
        assert not row["notes"].startswith(("=", "+", "-", "@", "\t", "\n", "\r"))
        assert row["tags"] == "'=a,b"
    await finish(bob, await upload(bob, content))
    back = await world.rows(
        "SELECT notes, tags FROM activities WHERE user_id = %s ORDER BY activity_date", bob.id
    )
    assert [notes for notes, _ in back] == NASTY
    assert {tuple(tags) for _, tags in back} == {("=a", "b")}


async def test_the_import_of_an_export_exports_the_same_bytes_but_for_ids(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    for minute, notes in enumerate(NASTY):
        await ada.log(notes=notes, activity_date=f"2024-01-15T06:{minute:02}:00Z")
    first = await download(ada, await finish(ada, await request(ada)))
    await finish(bob, await upload(bob, first))
    second = await download(bob, await finish(bob, await request(bob)))
    assert _without_ids(first) == _without_ids(second)


def _without_ids(content: bytes) -> list[list[str]]:
    return [row[1:] for row in csv.reader(io.StringIO(content.decode(), newline=""))]


async def test_deleted_and_other_peoples_activities_stay_out(world: World) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    await eve.log(notes="eve's")
    gone = await ada.log(notes="gone")
    await ada.call("DELETE", f"/api/v1/activities/{gone['id']}")
    status = await finish(ada, await request(ada))
    assert status["result"]["record_count"] == 0
    assert await download(ada, status) == HEADER


@pytest.mark.parametrize(
    "body",
    [
        {"start_date": "2024-13-01"},
        {"start_date": "2024-02-01", "end_date": "2024-01-01"},
        {"end_date": 5},
        {"include_tags": "yes"},
        {"format": "csv"},
        {"start_date": "1901-01-01", "end_date": "2101-01-01"},
        {"tag": "unknown"},
    ],
)
async def test_bad_requests_start_nothing(world: World, body: dict[str, Any]) -> None:
    ada = await world.user()
    refused = await ada.post("/api/v1/activities/export/csv", json=body)
    assert refused.status_code == 400
    assert refused.json()["details"]
    for table in ("job_tickets", "exports", "procrastinate_jobs"):
        assert await world.value(f"SELECT count(*) FROM {table}") == 0


async def test_a_damaged_link_is_said_unless_its_owner_is_signed_in(world: World) -> None:
    ada = await world.user()
    status = await finish(ada, await request(ada))
    damaged = status["result"]["download_url"][:-3]
    refused = await world.http.get(damaged)
    assert (refused.status_code, "damaged" in refused.json()["message"]) == (401, True)
    assert (await ada.get(damaged)).status_code == 302


async def test_a_download_is_for_its_owner_or_whoever_has_the_link(world: World) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    job = await request(ada)
    path = f"/api/v1/export/{job['job_id']}/download"
    assert (await ada.get(path)).status_code == 409
    status = await finish(ada, job)
    assert (await ada.get(path)).status_code == 302
    assert (await eve.get(path)).status_code == 404
    assert (await eve.get(job["status_url"])).status_code == 404
    assert (await world.http.get(path)).status_code == 401
    assert (await world.http.get(f"{path}?expires=9999999999&signature=x")).status_code == 401
    url = status["result"]["download_url"]
    assert (await world.http.get(url.replace("expires=", "expires=1"))).status_code == 401
    await world.rows("UPDATE job_tickets SET expires_at = now()")
    assert (await world.http.get(url)).status_code == 410
    assert (await ada.get(job["status_url"])).json()["status"] == "expired"


async def test_a_link_to_the_file_expires_and_cannot_be_bent(world: World) -> None:
    ada = await world.user()
    status = await finish(ada, await request(ada))
    url = (await world.http.get(status["result"]["download_url"])).headers["Location"]
    assert (await world.http.get(url)).status_code == 200
    assert (await world.http.get(url.replace("name=activities", "name=x"))).status_code == 403
    assert (await world.http.get(url.split("?")[0])).status_code == 403
    assert (await world.http.get("/files/../../secret")).status_code in (403, 404)


async def test_a_second_run_overwrites_the_same_file_and_mails_once(world: World) -> None:
    ada = await world.user()
    job = await request(ada)
    await world.work()
    async with world.jobs.open_async():
        await world.jobs.configure_task("activelog.exports.generate").defer_async(
            ticket_id=job["job_id"]
        )
    await world.work()
    assert isinstance(world.settings.storage, Folder)
    assert len([path for path in world.settings.storage.path.rglob("*") if path.is_file()]) == 1
    assert len(world.mails(ada.address)) == 1


async def test_of_two_runs_at_once_neither_takes_the_other_ones_file(world: World) -> None:
    """As when a worker comes back that was thought dead."""
    ada = await world.user()
    job = await request(ada)
    await world.jobs_defer("activelog.exports.generate", ticket_id=job["job_id"])
    async with anyio.create_task_group() as tasks, database.transaction(world.pool) as conn:
        await conn.execute("LOCK TABLE activities IN ACCESS EXCLUSIVE MODE")
        tasks.start_soon(world.work)
        await world.until(f"SELECT ({_READERS}) = 2")
    status = (await ada.get(job["status_url"])).json()
    assert status["status"] == "completed"
    link = (await world.http.get(status["result"]["download_url"])).headers["Location"]
    assert (await world.http.get(link)).status_code == 200


async def test_two_of_a_user_run_at_once_ten_wait_and_more_are_refused(world: World) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    jobs = [await request(ada) for _ in range(12)]
    refused = await ada.post("/api/v1/activities/export/csv", json={})
    assert refused.status_code == 429
    assert "Retry-After" in refused.headers
    assert await world.value("SELECT count(*) FROM procrastinate_jobs") == 2
    await request(eve)
    assert await world.value("SELECT count(*) FROM procrastinate_jobs") == 3, "her own line"
    waiting = (await ada.get(jobs[-1]["status_url"])).json()
    assert waiting["status"] == "pending"
    assert (await ada.call("DELETE", jobs[5]["status_url"])).json()["status"] == "cancelled"
    assert (await ada.call("DELETE", jobs[0]["status_url"])).json()["status"] == "cancelled"
    assert (await ada.get(jobs[2]["status_url"])).json()["status"] == "pending"
    await world.work()
    states = [(await ada.get(job["status_url"])).json()["status"] for job in jobs]
    assert states == [
        "cancelled", *["completed"] * 4, "cancelled", *["completed"] * 6,
    ]  # fmt: skip
    await world.make_due()
    await world.work()
    assert len(world.mails(ada.address)) < 10
    assert len(told(world, ada)) == len(set(told(world, ada))) == 10


async def test_what_was_cancelled_while_it_waited_leaves_room(world: World) -> None:
    ada = await world.user()
    jobs = [await request(ada) for _ in range(12)]
    for job in jobs[5:8]:
        await ada.call("DELETE", job["status_url"])
    for _ in range(3):
        await request(ada)
    assert (await ada.post("/api/v1/activities/export/csv", json={})).status_code == 429


async def test_a_running_export_is_cancelled(
    world: World, environment: dict[str, str], tmp_path: Path
) -> None:
    ada = await world.user()
    job = await request(ada)
    with processes.worker(environment):
        async with world.pool.connection() as conn, conn.transaction():
            await conn.execute("LOCK TABLE activities IN ACCESS EXCLUSIVE MODE")
            await world.until(f"SELECT ({_READERS}) = 1")
            cancelled = await ada.call("DELETE", job["status_url"])
            assert cancelled.json()["status"] == "cancelled"
            await world.until(f"SELECT ({_JOB}) = 'aborted'")
    assert (await ada.get(job["status_url"])).json()["status"] == "cancelled"
    assert list((tmp_path / "objects").rglob("*.csv")) == []
    assert world.mails(ada.address) == []


async def test_the_file_of_an_export_that_is_cancelled_while_it_is_stored_goes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await world.user()
    job = await request(ada)
    put = FolderStorage.put

    async def put_and_cancel(storage: FolderStorage, *what: Any) -> Any:
        stored = await put(storage, *what)
        assert list((tmp_path / "objects").rglob("*.csv")) != []
        await world.rows("UPDATE job_tickets SET cancelled_at = now()")
        return stored

    monkeypatch.setattr(FolderStorage, "put", put_and_cancel)
    await world.work()
    assert (await ada.get(job["status_url"])).json()["status"] == "cancelled"
    assert list((tmp_path / "objects").rglob("*.csv")) == []
    assert world.mails(ada.address) == []


async def test_an_export_cancelled_after_its_claim_but_before_its_first_step_is_aborted(
    world: World,
) -> None:
    ada = await world.user()
    job = await request(ada)
    await world.rows("UPDATE job_tickets SET cancelled_at = now()")
    await world.work()
    assert await world.value(_JOB) == "aborted"
    assert (await ada.get(job["status_url"])).json()["status"] == "cancelled"
    assert world.mails(ada.address) == []


_JOB = "SELECT status::text FROM procrastinate_jobs WHERE queue_name = 'low'"
_READERS = """
    SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
    WHERE datname = current_database() AND relation = 'activities'::regclass AND NOT granted
"""


async def test_deleting_those_that_run_lets_the_waiting_ones_in(world: World) -> None:
    ada = await world.user()
    jobs = [await request(ada) for _ in range(3)]
    for job in jobs[:2]:
        deleted = await ada.call("DELETE", f"/api/v1/export/{job['job_id']}")
        assert deleted.status_code == 204
    await world.work()
    assert (await ada.get(jobs[2]["status_url"])).json()["status"] == "completed"


async def test_deleting_a_running_one_lets_a_waiting_one_in(world: World) -> None:
    ada = await world.user()
    jobs = [await request(ada) for _ in range(3)]
    await world.rows("UPDATE procrastinate_jobs SET status = 'doing' WHERE id IN (1, 2)")
    await ada.call("DELETE", f"/api/v1/export/{jobs[0]['job_id']}")
    assert await world.value("SELECT abort_requested FROM procrastinate_jobs WHERE id = 1")
    await world.work()
    assert (await ada.get(jobs[2]["status_url"])).json()["status"] == "completed"


async def test_a_repeated_request_gets_its_answer_also_when_things_have_changed(
    world: World,
) -> None:
    ada = await world.user()
    tagged, key = await ada.log(tags=["hills"]), {"Idempotency-Key": "one"}
    first = await ada.post("/api/v1/activities/export/csv", json={"tag": "hills"}, headers=key)
    await ada.call("DELETE", f"/api/v1/activities/{tagged['id']}")
    again = await ada.post("/api/v1/activities/export/csv", json={"tag": "hills"}, headers=key)
    assert (again.status_code, again.json()) == (202, first.json())


async def test_a_failed_export_lets_the_next_one_in(world: World, tmp_path: Path) -> None:
    ada = await world.user()
    jobs = [await request(ada) for _ in range(3)]
    await world.rows("UPDATE procrastinate_jobs SET status = 'failed'")
    assert (
        await world.value(
            "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = 'low'"
        )
        == 1
    )
    assert (await finish(ada, jobs[2]))["status"] == "completed"


async def test_an_export_waits_out_a_store_that_is_away(world: World, tmp_path: Path) -> None:
    ada = await world.user()
    await ada.log()
    job = await request(ada)
    (tmp_path / "objects").write_text("in the way: no folder can be made here")
    status = await finish(ada, job)
    assert status["status"] == "pending"
    assert status["retry_count"] == 1
    assert world.mails(ada.address) == []
    (tmp_path / "objects").unlink()
    await world.rows("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
    assert (await finish(ada, job))["status"] == "completed"


async def test_after_three_retries_it_has_failed_and_says_why(world: World, tmp_path: Path) -> None:
    ada = await world.user()
    job = await request(ada)
    (tmp_path / "objects").write_text("in the way")
    for _ in range(4):
        await world.rows("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
        await world.work()
    status = (await ada.get(job["status_url"])).json()
    assert status["status"] == "failed"
    assert status["error"] == "failed to generate export: file storage is unavailable"
    assert status["retry_count"] == 3
    assert "failed_at" in status
    assert str(tmp_path) not in str(status)


async def test_options_of_the_file(world: World) -> None:
    ada = await world.user()
    await ada.log(notes="=1+1", activity_type="yoga", tags=["evening"])
    await ada.log(notes="a run")
    plain = await download(ada, await finish(ada, await request(ada)))
    assert await download(ada, await finish(ada, await request(ada, bom=True))) == (
        b"\xef\xbb\xbf" + plain
    )
    status = await finish(ada, await request(ada, gzip=True))
    assert gzip.decompress(await download(ada, status)) == plain
    link = await world.http.get(status["result"]["download_url"])
    file = await world.http.get(link.headers["Location"])
    assert file.headers["Content-Type"] == "application/gzip"
    raw = await download(ada, await finish(ada, await request(ada, raw=True)))
    assert raw == plain.replace(b"'=1+1", b"=1+1")
    only_yoga = await download(ada, await finish(ada, await request(ada, type=" yoga ")))
    assert only_yoga.count(b"\r\n") == 2
    only_evening = await download(ada, await finish(ada, await request(ada, tag="evening")))
    assert only_evening == only_yoga
    status = await finish(ada, await request(ada))
    assert status["result"]["sha256"] == hashlib.sha256(plain).hexdigest()


async def test_the_file_of_a_download_has_the_same_options(world: World) -> None:
    ada = await world.user()
    await ada.log(tags=["x"])
    path = "/api/v1/activities/export/csv/download"
    plain = (await ada.get(path)).content
    packed = await ada.get(f"{path}?gzip=true&start_date=2024-01-01&end_date=2024-01-31")
    assert gzip.decompress(packed.content) == plain
    assert "activities-2024-01.csv.gz" in packed.headers["Content-Disposition"]
    assert (await ada.get(f"{path}?bom=1")).content == b"\xef\xbb\xbf" + plain
    unknown = await ada.get(f"{path}?tag=y")
    assert unknown.status_code == 400
    assert "no activities with the tag" in unknown.json()["message"]


@pytest.mark.parametrize("options", [{}, {"gzip": True}])
async def test_a_full_disk_ends_the_run_and_holds_no_snapshot(
    world: World, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], tmp_path: Path
) -> None:
    """With much left to read: Postgres would wait to send it for as long as the run hangs."""
    ada = await world.user()
    await world.rows(
        "INSERT INTO activities (user_id, activity_date, duration_minutes, distance_km,"
        " activity_type, notes) SELECT %s, '2024-01-15', n, 1, 'running', md5(n::text)"
        " FROM generate_series(1, 50000) n", ada.id,
    )  # fmt: skip
    (tmp_path / "export").symlink_to("/dev/full")
    with monkeypatch.context() as patched, anyio.fail_after(60):
        patched.setattr(tempfile, "TemporaryDirectory", lambda **_: nullcontext(str(tmp_path)))
        job = await request(ada, **options)
        await world.work()
    assert (await ada.get(job["status_url"])).json()["status"] == "pending", "it runs again"
    busy = await world.value(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'"
        " AND xact_start < now() - interval '1 ms'"
    )
    assert busy == 0
    await world.make_due()
    await world.work()
    assert (await ada.get(job["status_url"])).json()["status"] == "completed"
