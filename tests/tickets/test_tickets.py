from datetime import datetime
from uuid import UUID

from activelog.tickets import queries, tracking
from tests.conftest import World
from tests.exports.test_csv_export import download, request
from tests.imports.test_import import finish

EXPORT = "/api/v1/activities/export/csv"


async def test_an_unchanged_status_is_answered_by_304(world: World) -> None:
    ada = await world.user()
    job = await request(ada)
    first = await ada.get(job["status_url"])
    again = await ada.get(job["status_url"], headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    await world.work()
    after = await ada.get(job["status_url"], headers={"If-None-Match": first.headers["ETag"]})
    assert after.status_code == 200
    assert "Retry-After" not in after.headers


async def test_the_same_key_gets_the_same_answer(world: World) -> None:
    ada = await world.user()
    key = {"Idempotency-Key": "one"}
    first = await ada.post(EXPORT, json={"include_tags": True}, headers=key)
    again = await ada.post(EXPORT, json={"include_tags": True}, headers=key)
    assert again.status_code == 202
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await ada.post(EXPORT, json={"include_tags": False}, headers=key)
    assert other.status_code == 422
    assert await world.value("SELECT count(*) FROM procrastinate_jobs") == 1
    eve = await world.user("eve@example.com")
    assert (await eve.post(EXPORT, json={}, headers=key)).status_code == 202


async def test_a_key_whose_request_is_still_at_work_gets_409(world: World) -> None:
    ada = await world.user()
    async with world.pool.connection() as conn, conn.transaction():
        await conn.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{ada.id} one"]
        )
        busy = await ada.post(EXPORT, json={}, headers={"Idempotency-Key": "one"})
    assert busy.status_code == 409
    assert "Retry-After" in busy.headers


async def test_a_refused_request_leaves_no_key(world: World) -> None:
    ada = await world.user()
    key = {"Idempotency-Key": "one"}
    assert (await ada.post(EXPORT, json={"end_date": "never"}, headers=key)).status_code == 400
    assert (await ada.post(EXPORT, json={}, headers=key)).status_code == 202
    assert (await ada.post(EXPORT, json={}, headers={"Idempotency-Key": ""})).status_code == 400


async def test_a_waiting_job_is_cancelled_once(world: World) -> None:
    ada = await world.user()
    job = await request(ada)
    cancelled = await ada.call("DELETE", job["status_url"])
    assert cancelled.json()["status"] == "cancelled"
    await world.work()
    assert (await ada.get(job["status_url"])).json()["status"] == "cancelled"
    assert (await ada.call("DELETE", job["status_url"])).status_code == 200
    assert world.mails(ada.address) == []


async def test_what_is_finished_cannot_be_cancelled(world: World) -> None:
    ada = await world.user()
    job = await request(ada)
    await world.work()
    refused = await ada.call("DELETE", job["status_url"])
    assert refused.status_code == 409
    assert "completed" in refused.json()["message"]


async def test_progress_only_grows_also_when_a_second_run_starts_over(world: World) -> None:
    ada = await world.user()
    job = await request(ada)
    for said, shown in ((60, 60), (10, 60), (61, 61)):
        async with world.pool.connection() as conn:
            await queries.report(conn, UUID(job["job_id"]), said, "Working")
        assert (await ada.get(job["status_url"])).json()["progress"] == shown


async def test_an_owner_sees_what_a_job_reports(world: World) -> None:
    ada = await world.user()
    job = await request(ada)
    async with tracking(world.services, job["job_id"], "write it") as tracked:
        assert tracked is not None
        await tracked.report(40, "Writing row 4 of 10")
        shown = (await ada.get(job["status_url"])).json()
    assert (shown["progress"], shown["message"]) == (40, "Writing row 4 of 10")


async def test_a_second_run_of_a_finished_job_changes_nothing(world: World) -> None:
    ada = await world.user()
    await ada.log()
    done = await finish(ada, await request(ada))
    assert "message" not in done, "its result says it all"
    file = await download(ada, done)
    await ada.log()
    await world.rows("UPDATE procrastinate_jobs SET status = 'todo' WHERE queue_name = 'low'")
    await world.work()
    assert (await ada.get(f"/api/v1/jobs/{done['job_id']}")).json() == done
    assert await download(ada, done) == file


async def test_a_job_without_a_result_says_how_it_ended(world: World) -> None:
    ada = await world.user()
    asked = await ada.post("/api/v1/users/me/reports/weekly-summary")
    await world.make_due()
    await world.work()
    done = (await ada.get(f"/api/v1/jobs/{asked.json()['job_id']}")).json()
    assert done["message"] == "Sent"


async def test_estimates_come_from_what_was_measured(world: World) -> None:
    ada = await world.user()
    fresh = await request(ada)
    await world.work()
    await world.rows("UPDATE job_tickets SET started_at = completed_at - interval '1 hour'")
    await world.rows(  # those that are not finished say nothing
        "INSERT INTO job_tickets"
        " (id, user_id, kind, task, queue, message, concurrency_group, concurrency_limit)"
        " SELECT gen_random_uuid(), user_id, kind, task, queue, '', 'others', 1"
        " FROM job_tickets, generate_series(1, 20)"
    )
    world.services.memo.clear()
    slow = await request(ada)

    def minutes(job: dict[str, str]) -> float:
        at = datetime.fromisoformat(job["estimated_completion"])
        return (at - world.services.clock()).total_seconds() / 60

    assert minutes(fresh) < 1
    assert 59 < minutes(slow) < 121


async def test_a_job_and_its_row_roll_back_together(world: World) -> None:
    ada = await world.user()
    await world.rows("ALTER TABLE exports ADD CHECK (format = 'none')")
    failed = await ada.post(EXPORT, json={})
    assert failed.status_code == 500
    assert failed.json()["error"] == "internal error"
    assert "exports" not in failed.text
    assert await world.value("SELECT count(*) FROM procrastinate_jobs") == 0
    assert await world.value("SELECT count(*) FROM job_tickets") == 0


async def test_deleting_the_jobs_of_a_group_lets_the_next_ones_in(world: World) -> None:
    ada = await world.user()
    accepted = [(await ada.post(EXPORT, json={})).json() for _ in range(3)]
    await world.rows("DELETE FROM procrastinate_jobs")
    assert await world.value("SELECT count(*) FROM procrastinate_jobs") == 1
    await world.work()
    assert (await ada.get(accepted[2]["status_url"])).json()["status"] == "completed"


async def test_what_was_cancelled_while_it_waited_takes_nobodys_place(world: World) -> None:
    ada = await world.user()
    accepted = [(await ada.post(EXPORT, json={})).json() for _ in range(4)]
    assert (await ada.call("DELETE", accepted[2]["status_url"])).status_code == 200
    await world.rows(
        "DELETE FROM procrastinate_jobs WHERE id = (SELECT min(id) FROM procrastinate_jobs)"
    )
    has_job = "SELECT job_id IS NOT NULL FROM job_tickets WHERE id = %s"
    places = [await world.value(has_job, one["job_id"]) for one in accepted[2:]]
    assert places == [False, True]


async def test_what_has_ended_is_not_cancelled(world: World) -> None:
    ada = await world.user()
    job = await request(ada)
    await world.rows("UPDATE job_tickets SET completed_at = now()")
    assert (await ada.call("DELETE", job["status_url"])).status_code == 409
    assert await world.value("SELECT cancelled_at FROM job_tickets") is None


async def test_asking_together_tells_nobody_of_somebody_elses(world: World) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    job = await request(ada)
    ticket_id = UUID(job["job_id"])
    async with world.pool.connection() as conn:
        mine, hers, again = await queries.find(
            conn,
            [queries.Wanted(ticket_id, user_id) for user_id in (ada.id, eve.id, ada.id)],
        )
    assert hers is None
    assert mine is not None
    assert mine == again
