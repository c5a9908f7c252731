"""What a night deletes, and what it must not."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from activelog.retention import queries, tasks
from activelog.retention.tasks import sweep
from activelog.storage import FolderStorage, StorageError
from tests.activities.test_photos import picture
from tests.conftest import User, World
from tests.exports.test_csv_export import download, request
from tests.http.test_pages import browse
from tests.imports.test_import import HEADER, finish, upload


async def night(world: World, **args: Any) -> dict[str, int]:
    await world.jobs_defer("activelog.cleanup.nightly", **args)
    await world.work()
    [(outcome, counts)] = await world.rows(
        "SELECT outcome, counts FROM schedule_runs ORDER BY id DESC LIMIT 1")  # fmt: skip
    assert outcome == "succeeded"
    found: dict[str, int] = counts
    return found


def objects(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "objects").rglob("*") if path.is_file())


def age(paths: list[Path], days: float = 2) -> None:
    for path in paths:
        os.utime(path, (time.time() - days * 86400,) * 2)


async def add_photo(user: User) -> dict[str, Any]:
    activity = await user.log()
    path = f"/api/v1/activities/{activity['id']}/photos"
    assert (await user.post(path, content=picture())).status_code == 201
    return activity


async def test_deleted_activities_go_after_30_days_with_their_photos(
    world: World, tmp_path: Path
) -> None:
    ada = await world.user()
    gone, kept = await add_photo(ada), await add_photo(ada)
    await ada.call("DELETE", f"/api/v1/activities/{gone['id']}")
    assert await night(world) == {}
    await world.rows("UPDATE activities SET deleted_at = now() - interval '31 days'"
                     " WHERE deleted_at IS NOT NULL")  # fmt: skip
    assert await night(world) == {"activities": 1}
    assert len(objects(tmp_path)) == 2, "an object of today may belong to an upload at work"
    age(objects(tmp_path))
    assert await night(world) == {"orphaned objects": 1}
    assert await world.rows("SELECT id FROM activities") == [(kept["id"],)]
    assert len(objects(tmp_path)) == 1
    assert await night(world) == {}


async def test_expired_exports_lose_their_file_and_say_so(world: World, tmp_path: Path) -> None:
    ada = await world.user()
    await ada.log()
    old, new = await finish(ada, await request(ada)), await finish(ada, await request(ada))
    await world.rows("UPDATE job_tickets SET expires_at = now() WHERE id = %s", old["job_id"])
    await world.jobs_defer("activelog.exports.expire")
    await world.work()
    assert [path.stem for path in objects(tmp_path)] == [new["job_id"]]
    assert (await ada.get(f"/api/v1/export/{old['job_id']}/status")).json()["status"] == "expired"
    assert (await ada.get(f"/api/v1/export/{old['job_id']}/download")).status_code == 410
    assert (await world.http.get(old["result"]["download_url"])).status_code == 410
    assert await download(ada, new)
    age(objects(tmp_path))
    assert await night(world) == {}, "a file that somebody may download stays"


async def test_the_sweep_leaves_what_waiting_jobs_need(world: World, tmp_path: Path) -> None:
    """One import has its job, the others wait for it; an export waits for its job, too."""
    ada = await world.user()
    for minute in range(3):
        await upload(ada, f"{HEADER}1,run,5,1,2024-01-15T06:{minute:02}:00Z,,\r\n")
    cancelled = await upload(ada, f"{HEADER}1,run,5,1,2024-01-15T07:00:00Z,,\r\n")
    await ada.call("DELETE", cancelled["status_url"])
    age(objects(tmp_path))
    orphans = dict(queries.objects())["imports"]
    assert await sweep(world.services, "imports", orphans, world.services.clock()) == 1
    assert len(objects(tmp_path)) == 3
    await world.work()
    assert await world.value("SELECT count(*) FROM activities") == 3
    assert objects(tmp_path) == []


async def test_a_sweep_goes_on_where_the_night_before_ended(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "PAGE", 2)
    monkeypatch.setattr(tasks, "SWEPT_A_NIGHT", 2)
    ada = await world.user()
    for _ in range(5):
        await add_photo(ada)
    await world.rows("DELETE FROM photos WHERE id <> (SELECT min(id::text)::uuid FROM photos)")
    age(objects(tmp_path))
    assert [(await night(world)).get("orphaned objects") for _ in range(4)] == [1, 2, 1, None]
    assert len(objects(tmp_path)) == 1
    await world.rows("DELETE FROM photos")
    assert [(await night(world)).get("orphaned objects") for _ in range(2)] == [1, None]


async def test_mails_and_notifications_go_after_400_days(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await bob.post("/api/v1/friends/requests", json={"email": ada.address})
    await world.work()
    sent = await world.value("SELECT count(*) FROM mails")
    assert sent
    assert await night(world) == {}
    for table in ("mails", "notifications"):
        await world.rows(f"UPDATE {table} SET created_at = now() - interval '401 days'")
    await world.rows(
        "INSERT INTO mails (kind, user_id, dedup_key, message_id, state)"
        " VALUES ('weekly_summary', %s, '1', '1', 'sent')", ada.id)  # fmt: skip
    assert await night(world) == {"mails": sent, "notifications": 1}
    assert await world.rows("SELECT kind FROM mails") == [("weekly_summary",)]


async def test_the_rows_of_a_report_go_after_30_days(world: World) -> None:
    ada = await world.user()
    job = await upload(ada, f"{HEADER}1,run,odd,1,2024-01-15T06:30:00Z,,\r\n")
    assert (await finish(ada, job))["result"]["errors"]
    await world.rows("UPDATE job_tickets SET completed_at = now() - interval '31 days'")
    await world.jobs_defer("activelog.cleanup.nightly")
    result = (await finish(ada, job))["result"]
    assert result["rejected"] == 1
    assert not result.get("errors")
    page = await world.http.get(f"/import/{job['job_id']}", headers=browse(world, ada))
    assert page.status_code == 200


async def test_small_things_go_and_the_young_ones_stay(world: World) -> None:
    await world.register("ada@example.com")
    user = await world.user()
    await request(user)
    await user.post("/api/v1/activities/export/csv", json={}, headers={"Idempotency-Key": "one"})
    assert await night(world) == {}
    await world.rows("UPDATE users SET created_at = now() - interval '8 days'")
    await world.rows("UPDATE idempotency_keys SET created_at = now() - interval '8 days'")
    await world.rows("UPDATE limits SET window_ends = now()")
    counts = await night(world)
    assert counts.pop("limits") >= 2
    assert counts == {"unverified registrations": 1, "idempotency keys": 1}
    assert await world.rows("SELECT id FROM users") == [(user.id,)]


async def test_as_of_a_day_by_hand(world: World) -> None:
    ada = await world.user()
    await ada.call("DELETE", f"/api/v1/activities/{(await ada.log())['id']}")
    await world.rows("UPDATE activities SET deleted_at = '2024-01-01'")
    assert "activities" not in await night(world, day="2024-01-31")
    assert (await night(world, day="2024-02-01"))["activities"] == 1


@pytest.mark.parametrize("day", ["2999-01-01", "0001-01-01", 20240201])
async def test_a_day_to_come_or_that_is_none_deletes_nothing(world: World, day: object) -> None:
    ada = await world.user()
    await ada.call("DELETE", "/api/v1/users/me")
    await world.jobs_defer("activelog.cleanup.nightly", day=day)
    await world.work()
    assert await world.value("SELECT count(*) FROM users") == 1
    assert (
        await world.value(
            "SELECT status FROM procrastinate_jobs WHERE task_name = 'activelog.cleanup.nightly'"
        )
        == "failed"
    ), "another run would only repeat it"


async def test_an_account_is_deleted_after_its_grace_with_all_that_is_its(
    world: World, tmp_path: Path
) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await add_photo(ada)
    await finish(ada, await request(ada))
    await bob.post("/api/v1/friends/requests", json={"email": ada.address})
    asked = await ada.call("DELETE", "/api/v1/users/me")
    assert asked.status_code == 202
    assert (await ada.get("/api/v1/users/me")).json()["delete_after"] == asked.json()[
        "delete_after"
    ]
    await world.work()
    assert "will be deleted" in world.mails(ada.address)[-1]["Subject"]

    assert (await ada.post("/api/v1/users/me/restore")).json()["delete_after"] is None
    assert "accounts" not in await night(world)
    await world.rows("UPDATE activities SET deleted_at = NULL")

    await ada.call("DELETE", "/api/v1/users/me")
    await world.work()
    assert "accounts" not in await night(world)
    await world.rows("UPDATE users SET delete_after = now() WHERE id = %s", ada.id)
    assert (await night(world))["accounts"] == 1
    assert objects(tmp_path) == []
    assert await world.rows("SELECT id FROM users") == [(bob.id,)]
    tables = await world.rows(
        "SELECT table_name::text FROM information_schema.columns"
        " WHERE table_schema = 'public'"
        " AND column_name IN ('user_id', 'from_id', 'to_id', 'actor_id')"
        # For two days it says of a number that its sessions are over, and nothing else.
        " AND table_name <> 'session_endings'"
    )
    for (table,) in tables:
        rows = await world.rows(f"SELECT t::text FROM {table} t")
        assert not any(f",{ada.id}," in f",{row[1:]}" for (row,) in rows), table
    jobs = str(await world.rows("SELECT args::text FROM procrastinate_jobs"))
    assert f'"user_id": {ada.id}' not in jobs
    assert "ticket_id" not in jobs
    assert (await ada.get("/api/v1/users/me")).status_code == 401


async def test_a_mail_whose_job_is_gone_is_given_up_after_a_day(world: World) -> None:
    ada = await world.user()
    asked = await ada.post("/api/v1/users/me/reports/weekly-summary")
    await ada.call("DELETE", f"/api/v1/jobs/{asked.json()['job_id']}")
    assert "mails given up" not in await night(world)
    await world.rows("UPDATE mails SET created_at = now() - interval '2 days'")
    assert (await night(world))["mails given up"] == 1
    assert await world.value("SELECT state FROM mails") == "failed"


async def test_what_fails_keeps_nothing_else_from_being_done(world: World) -> None:
    ada = await world.user()
    await ada.call("DELETE", f"/api/v1/activities/{(await ada.log())['id']}")
    await world.rows("UPDATE activities SET deleted_at = now() - interval '31 days'")
    await world.rows("UPDATE limits SET window_ends = now()")
    await world.rows("ALTER TABLE activities RENAME deleted_at TO gone_at")
    await world.jobs_defer("activelog.cleanup.nightly")
    await world.work()
    assert await world.value("SELECT count(*) FROM limits") == 0
    [(outcome, error)] = await world.rows("SELECT outcome, error FROM schedule_runs")
    assert (outcome, "deleted_at" in error) == ("failed", True)
    await world.rows("ALTER TABLE activities RENAME gone_at TO deleted_at")
    await world.make_due()
    await world.work()
    assert await world.value("SELECT count(*) FROM activities") == 0


async def test_a_deletion_that_was_cut_off_is_finished_the_next_night(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ada = await world.user()
    await add_photo(ada)
    await ada.call("DELETE", "/api/v1/users/me")
    await world.work()
    await world.rows(
        "UPDATE users SET delete_after = now(), created_at = now() - interval '1 year'"
    )
    await world.rows(
        "INSERT INTO suppressed_addresses (address, answer) VALUES (%s, 'gone')", ada.address
    )
    with monkeypatch.context() as broken:
        broken.setattr(FolderStorage, "remove_all", _away)
        await world.jobs_defer("activelog.cleanup.nightly")
        await world.work()
    assert await world.value("SELECT outcome FROM schedule_runs ORDER BY id DESC") == "failed"
    assert (await ada.post("/api/v1/users/me/restore")).status_code == 401, "it is half gone"
    await world.make_due()
    await world.work()
    assert await world.value("SELECT count(*) FROM users") == 0
    assert await world.rows("SELECT * FROM suppressed_addresses") == []
    assert objects(tmp_path) == []
    assert await world.value("SELECT outcome FROM schedule_runs ORDER BY id DESC") == "succeeded"


async def _away(storage: FolderStorage, keys: list[str]) -> None:
    raise StorageError("the object store is away")


async def test_hours_of_past_days_become_days(world: World) -> None:
    """Nobody looks at them by the hour any more; what they say of the day stays."""
    await world.rows(
        "INSERT INTO job_counts (hour, task_name, queue_name, event, count, seconds, waited,"
        "                        seconds_buckets, waited_buckets)"
        " SELECT date_trunc('day', now()) - days * interval '1 day' + hours * interval '1 hour',"
        "        'a', 'low', 'succeeded', 2, 0.5, 0.25, '{1,1}', '{0,2}'"
        " FROM unnest(ARRAY[1, 5, 6]) AS days, generate_series(0, 23, 3) AS hours"
    )
    for _ in range(2):  # a second night finds nothing more to add up
        await night(world)
        days = await world.rows(
            "SELECT count(*), sum(count), max(seconds), max(waited), max(seconds_buckets),"
            " max(waited_buckets) FROM job_counts WHERE task_name = 'a'"
            " GROUP BY date_trunc('day', hour) ORDER BY date_trunc('day', hour)"
        )
        one = (1, 16, 4.0, 2.0, [8, 8], [0, 16])
        assert days == [one, one, (8, 16, 0.5, 0.25, [1, 1], [0, 2])]
