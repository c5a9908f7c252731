"""The admin API: what the jobs page shows and does, for programs."""

from typing import Any

import pytest

from activelog.operations import queries
from tests.conftest import User, World

AT = "/api/v1/admin"


@pytest.fixture
async def admin(world: World) -> User:
    ada = await world.user()
    await world.rows("UPDATE users SET is_admin = true")
    return ada


async def get(admin: User, path: str, **query: Any) -> Any:
    answer = await admin.get(f"{AT}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def failed(world: World, count: int) -> list[int]:
    """Welcome mails to nobody, with an argument that does not fit."""
    ids = [
        await world.jobs_defer("activelog.accounts.welcome", wrong=number)
        for number in range(count)
    ]
    await world.work()
    return ids


async def test_for_others_there_is_nothing(world: World) -> None:
    eve = await world.user("eve@example.com")
    for path in ("jobs", "queues", "workers", "failures", "mails", "schedules", "troubles"):
        answer = await eve.get(f"{AT}/{path}")
        assert answer.status_code == 404
        assert (await world.http.get(f"{AT}/{path}")).status_code == 401
    await world.jobs_defer("activelog.accounts.welcome", user_id=eve.id)
    answer = await eve.post(f"{AT}/queues", json={"queue": "low", "action": "pause"})
    assert answer.status_code == 404
    assert await world.value("SELECT count(*) FROM paused_queues") == 0


async def test_jobs_are_found_paged_and_shown(world: World, admin: User) -> None:
    ids = await failed(world, 5)
    page = await get(admin, "jobs", status="failed", limit=2)
    assert [job["id"] for job in page["jobs"]] == ids[:2:-1]
    rest = await get(admin, "jobs", status="failed", before=page["before"])
    assert [job["id"] for job in rest["jobs"]] == ids[2::-1]
    assert rest["before"] is None
    assert (await get(admin, "jobs/count", status="failed"))["count"] == 5
    details = await get(admin, f"jobs/{ids[0]}")
    assert details["job"]["status"] == "failed"
    assert details["events"][-1]["type"] == "failed"
    assert "do not fit" in details["errors"][0]["error"]
    assert (await admin.get(f"{AT}/jobs/999999")).status_code == 404
    assert (await admin.get(f"{AT}/jobs", params={"status": "lost"})).status_code == 400
    async with world.pool.connection() as conn:
        await queries.fold_counts(conn)
    [group] = (await get(admin, "failures"))["failures"]
    assert group["runs"] == 5


async def test_a_job_is_acted_on_once_and_it_is_noted(world: World, admin: User) -> None:
    [job_id] = await failed(world, 1)
    for expected in (204, 409):
        answer = await admin.post(f"{AT}/jobs/{job_id}", json={"action": "retry"})
        assert answer.status_code == expected
    assert await world.rows("SELECT user_id, action, subject FROM audit") == [
        (admin.id, "retry", f"job {job_id}")
    ]


async def test_all_that_match_are_retried_in_the_background(world: World, admin: User) -> None:
    await failed(world, 5)
    unsaid = await admin.post(f"{AT}/jobs/bulk", json={"action": "retry"})
    assert unsaid.status_code == 400
    body = {"action": "retry", "status": "failed", "task": "activelog.accounts.welcome"}
    accepted = await admin.post(f"{AT}/jobs/bulk", json=body)
    assert accepted.status_code == 202
    await world.work()
    status = (await admin.get(accepted.json()["status_url"])).json()
    assert (status["status"], status["message"]) == ("completed", "5 jobs")


async def test_a_job_runs_again_with_other_arguments(world: World, admin: User) -> None:
    [wrong] = await failed(world, 1)
    path = f"{AT}/jobs/{wrong}/again"
    again = await admin.post(path, json={"args": {"user_id": admin.id}})
    assert again.status_code == 201
    await world.work()
    details = await get(admin, f"jobs/{again.json()['id']}")
    assert details["job"]["status"] == "succeeded"
    assert (details["job"]["task"], details["job"]["queue"]) == (
        "activelog.accounts.welcome",
        "critical",
    )
    assert (await admin.post(f"{AT}/jobs/999/again", json={"args": {}})).status_code == 404
    nested = '{"args": {"a": ' + "[" * 3000 + "]" * 3000 + "}}"
    for body in (b'{"args": [1]}', b'{"args": {"a": "\\u0000"}}', nested.encode()):
        headers = {"Content-Type": "application/json"}
        assert (await admin.post(path, content=body, headers=headers)).status_code == 400
    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, status)"
        " VALUES ('low', 'noop', 'one', 'failed'), ('low', 'noop', 'one', 'todo')"
    )
    [(held,)] = await world.rows(
        "SELECT id FROM procrastinate_jobs WHERE task_name = 'noop' AND status = 'failed'"
    )
    taken = await admin.post(f"{AT}/jobs/{held}/again", json={"args": {}})
    assert taken.status_code == 409
    subjects = await world.rows("SELECT subject FROM audit WHERE action = 'run again'")
    assert subjects == [(f"job {wrong} as job {again.json()['id']}",)]


async def test_how_many_exports_of_one_person_run_at_once(world: World, admin: User) -> None:
    running = (
        "SELECT count(*) FROM job_tickets t JOIN procrastinate_jobs j ON j.id = t.job_id"
        " WHERE t.concurrency_group LIKE 'exports of %%'"
    )
    for _ in range(5):
        await admin.post("/api/v1/activities/export/csv", json={})
    assert await world.value(running) == 2
    limit = {"work": "exports", "running": 4}
    assert (await admin.post(f"{AT}/limits", json=limit)).status_code == 204
    assert await world.value(running) == 4, "what waited starts at once"
    assert await get(admin, "limits") == {"limits": [limit]}
    assert (await admin.post(f"{AT}/limits", json={"work": "exports"})).status_code == 204
    assert await get(admin, "limits") == {"limits": [{"work": "exports", "running": None}]}
    for wrong in ({"work": "imports", "running": 2}, limit | {"running": 0}):
        assert (await admin.post(f"{AT}/limits", json=wrong)).status_code == 400
    subjects = await world.rows("SELECT subject FROM audit WHERE action = 'limit' ORDER BY id")
    assert subjects == [("exports of one person: 4",), ("exports of one person: as usual",)]


async def test_queues_schedules_and_addresses(world: World, admin: User) -> None:
    pause = {"queue": "low", "action": "pause"}
    assert (await admin.post(f"{AT}/queues", json=pause)).status_code == 204
    paused = {one["queue"]: one["paused"] for one in (await get(admin, "queues"))["queues"]}
    assert paused == {"critical": False, "default": False, "low": True}
    assert (await admin.post(f"{AT}/queues", json=pause | {"action": "resume"})).status_code == 204
    for running in (5, None):
        limit = {"queue": "low", "running": running}
        assert (await admin.post(f"{AT}/queues/limit", json=limit)).status_code == 204
        limits = {one["queue"]: one["limit"] for one in (await get(admin, "queues"))["queues"]}
        assert limits == {"critical": None, "default": None, "low": running}
    assert await world.value("SELECT count(*) FROM audit WHERE action = 'limit'") == 2
    none = await admin.post(f"{AT}/queues/limit", json={"queue": "low", "running": 0})
    assert none.status_code == 400
    await world.rows(
        "INSERT INTO schedule_ticks (task_name, periodic_id, last_tick, cron, queue_name)"
        " VALUES ('activelog.cleanup.nightly', '', 0, '0 2 * * *', 'low')"
    )
    tasks = {one["task_name"] for one in (await get(admin, "schedules"))["schedules"]}
    assert "activelog.cleanup.nightly" in tasks
    path = f"{AT}/schedules"
    run = {"task": "activelog.cleanup.nightly"}
    assert (await admin.post(path, json=run)).status_code == 204
    assert (await admin.post(path, json={"task": "nothing"})).status_code == 404
    await world.rows(
        "INSERT INTO suppressed_addresses (address, answer) VALUES ('x@x.test', '550')"
    )
    [one] = (await get(admin, "mails/suppressed"))["addresses"]
    assert one["address"] == "x@x.test"
    for expected in (204, 404):
        answer = await admin.post(f"{AT}/mails/suppressed/lift", json={"address": "X@x.test"})
        assert answer.status_code == expected
    await world.jobs_defer("activelog.accounts.welcome", user_id=admin.id)
    await world.work()
    [mail] = (await get(admin, "mails", state="sent"))["mails"]
    assert mail["kind"] == "welcome"
    assert "workers" in await get(admin, "workers")
    assert (await get(admin, "troubles"))["troubles"][0]["kind"] == "no worker"


async def test_mails_are_found_by_person_kind_and_what_was_said(world: World, admin: User) -> None:
    eve = await world.user("eve@example.com")
    await world.rows(
        "INSERT INTO mails (kind, user_id, dedup_key, message_id, state, answer, bounce,"
        " bounce_said, bounced_at)"
        " VALUES ('welcome', %s, '', '<1@x>', 'sent', '250 ok', NULL, NULL, NULL),"
        " ('weekly_summary', %s, 'a', '<2@x>', 'sent', '250 ok', 'hard', 'no_such%%', now()),"
        " ('weekly_summary', %s, 'b', '<3@x>', 'failed', '554 5.7.1 spam', NULL, NULL, NULL)",
        eve.id, eve.id, admin.id,
    )  # fmt: skip

    async def found(**query: Any) -> list[str]:
        return [mail["dedup_key"] for mail in (await get(admin, "mails", **query))["mails"]]

    assert await found() == ["b", "a", ""]
    assert await found(person="eve@EXAMPLE.com") == await found(person=eve.id) == ["a", ""]
    assert await found(kind="weekly_summary") == ["b", "a"]
    assert await found(said="5.7.1") == ["b"]
    assert await found(said="such%") == ["a"]
    assert await found(said="e%a") == []
    assert await found(state="bounced") == ["a"]
    assert await found(person="nobody@example.com") == []


async def test_a_mail_that_has_its_end_is_sent_again(world: World, admin: User) -> None:
    eve = await world.user("eve@example.com")
    await world.rows(
        "INSERT INTO mails (kind, user_id, dedup_key, message_id, state)"
        " VALUES ('weekly_summary', %s, '2024-01-14', '<1@x>', 'failed'),"
        " ('weekly_summary', %s, '2024-01-21', '<2@x>', 'queued')", eve.id, eve.id,
    )  # fmt: skip
    await world.rows(
        "INSERT INTO suppressed_addresses (address, answer) VALUES ('eve@example.com', '550')"
    )
    await eve.log(activity_date="2024-01-10T12:00:00Z")
    first = await world.value("SELECT min(id) FROM mails")
    assert (await eve.post(f"{AT}/mails/again", json={"id": first})).status_code == 404
    assert (await admin.post(f"{AT}/mails/again", json={"id": first})).status_code == 202
    await world.work()
    [mail] = world.mails("eve@example.com")
    assert "14 January 2024" not in mail["Subject"]
    assert await world.value("SELECT state FROM mails WHERE id = %s", first) == "sent"
    waiting = {"id": first + 1}
    assert (await admin.post(f"{AT}/mails/again", json=waiting)).status_code == 409
    await world.rows("UPDATE mails SET created_at = now() - interval '1 hour'")
    assert (await admin.post(f"{AT}/mails/again", json=waiting)).status_code == 202, "it has no job"
    await world.work()
    assert await world.value("SELECT state FROM mails WHERE id = %s", waiting["id"]) == "sent"
    assert (await admin.post(f"{AT}/mails/again", json={"id": 999})).status_code == 404
    noted = await world.value("SELECT subject FROM audit WHERE action = 'send again'")
    assert noted == f"mail {first} (weekly_summary)"


async def test_schedules_are_paused_resumed_and_run_for_a_day(world: World, admin: User) -> None:
    task = "activelog.summaries.daily_stats"
    await world.rows(
        "INSERT INTO schedule_ticks (task_name, periodic_id, last_tick, cron, queue_name)"
        " VALUES (%s, '', 1, '0 0 * * *', 'low')", task,
    )  # fmt: skip
    switch = f"{AT}/schedules/switch"
    for action in ("pause", "pause", "resume"):
        answer = await admin.post(switch, json={"task": task, "action": action})
        assert answer.status_code == 204, answer.text
        [found] = (await get(admin, "schedules"))["schedules"]
        assert (found["paused_at"] is not None) == (action == "pause")
    assert await world.value("SELECT last_tick FROM schedule_ticks") > 1, "what passed is past"
    for body in ({"task": task, "action": "resume"}, {"task": "x", "action": "pause"}):
        assert (await admin.post(switch, json=body)).status_code == 404
    run = {"task": task, "day": "2024-01-15"}
    assert (await admin.post(f"{AT}/schedules", json=run)).status_code == 204
    args = await world.value("SELECT args FROM procrastinate_jobs WHERE task_name = %s", task)
    assert args == {"day": "2024-01-15"}
    for day in ("2199-01-01", "soon"):
        assert (await admin.post(f"{AT}/schedules", json=run | {"day": day})).status_code == 400


async def test_a_bulk_action_that_is_not_meant_is_refused(world: World, admin: User) -> None:
    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status)"
        " SELECT 'low', 'x', '{}', 'failed' FROM generate_series(1, 3)"
    )
    for body, field in (
        ({"action": "retry", "status": "failed", "before": 3}, "before"),
        ({"action": "run_now", "status": "waiting"}, "action"),
        ({"action": "delete", "status": "doing"}, "action"),
    ):
        refused = await admin.post(f"{AT}/jobs/bulk", json=body)
        assert (refused.status_code, field in refused.text) == (400, True)
    assert (await admin.get(f"{AT}/jobs/count?status=failed&before=3")).status_code == 400
    first = await world.value("SELECT min(id) FROM procrastinate_jobs")
    asked = {"status": "failed", "text": str(first)}
    assert [job["id"] for job in (await get(admin, "jobs", **asked))["jobs"]] == [first]
    assert (await get(admin, "jobs/count", **asked))["count"] == 1
