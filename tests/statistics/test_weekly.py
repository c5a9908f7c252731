from datetime import UTC, datetime, timedelta

import pytest

from activelog.report import change
from tests.conftest import World

PATH = "/api/v1/users/me/reports/weekly-summary"
NOW = datetime.now(UTC)


def ago(**delta: float) -> str:
    return (NOW - timedelta(**delta)).isoformat()


async def test_on_demand_as_in_the_specification(world: World) -> None:
    ada = await world.user()
    await ada.log(activity_date=ago(hours=1), calories=430)
    await ada.log(activity_date=ago(days=8), duration_minutes=30)
    accepted = await ada.post(PATH)
    assert accepted.status_code == 202
    body = accepted.json()
    assert body["message"] == "weekly summary email queued"
    wait = datetime.fromisoformat(body["estimated_delivery"]) - datetime.now(UTC)
    assert timedelta(minutes=4) < wait <= timedelta(minutes=5)
    await world.work()
    assert world.mails(ada.address) == [], "not before its time"
    status = f"/api/v1/jobs/{body['job_id']}"
    assert (await ada.get(status)).json()["status"] == "pending"
    await world.make_due()
    await world.work()
    [mail] = world.mails(ada.address)
    assert mail["Subject"] == "Your Weekly Summary: 1 activity, 45 min"
    text = mail.get_body(("plain",)).get_content()
    assert "Activities completed: 1" in text
    assert "Total distance: 7.50 km" in text
    assert "Total duration: 45 minutes (+50 % on last week)" in text
    assert "Calories burned: 430" in text
    assert (await ada.get(status)).json()["status"] == "completed"
    for _ in range(4):
        assert (await ada.post(PATH)).status_code == 202
    assert (await ada.post(PATH)).status_code == 429


async def test_sunday_mails_whoever_was_active_lately_and_wants_it_once(world: World) -> None:
    ada, idle = await world.user(), await world.user("idle@example.com")
    quiet, gone = await world.user("quiet@example.com"), await world.user("gone@example.com")
    unwanted = await world.user("unwanted@example.com")
    await ada.log(activity_date=ago(days=2))
    await unwanted.log(activity_date=ago(days=2))
    await idle.log(activity_date=ago(days=20))
    await quiet.log(activity_date=ago(days=20))
    await gone.log(activity_date=ago(days=40))
    preferences = "/api/v1/users/me/mail-preferences"
    await unwanted.call("PATCH", preferences, json={"weekly_summary": False})
    await quiet.call("PATCH", preferences, json={"weekly_idle": False})
    for _ in range(2):  # the tick and a second firing
        await world.jobs_defer("activelog.summaries.weekly", timestamp=int(NOW.timestamp()))
        await world.work()
        await world.make_due()
        await world.work()
    assert len(world.mails(ada.address)) == 1
    [mail] = world.mails(idle.address)
    assert mail["Subject"] == "Your Weekly Summary: a week to rest"
    for user in (quiet, gone, unwanted):
        assert world.mails(user.address) == []
    runs = await world.rows("SELECT outcome, counts FROM schedule_runs ORDER BY id")
    assert runs == [("succeeded", {"mails queued": 3}), ("succeeded", {"mails queued": 0})]


async def test_no_fan_out_writes_to_accounts_that_are_about_to_be_deleted(world: World) -> None:
    leaving, ada = await world.user("leaving@example.com"), await world.user()
    for user in (leaving, ada):
        await user.log(activity_date=ago(days=2))
        await user.log(activity_date=ago(days=40))
    assert (await leaving.call("DELETE", "/api/v1/users/me")).status_code == 202
    await world.jobs_defer("activelog.summaries.weekly")
    for day in (NOW, NOW - timedelta(days=31)):
        await world.jobs_defer("activelog.reports.monthly", day=day.date().isoformat())
    await world.work()
    told = await world.rows(
        "SELECT DISTINCT args->>'user_id' FROM procrastinate_jobs WHERE task_name IN"
        " ('activelog.summaries.weekly_mail', 'activelog.reports.render')"
    )
    assert told == [(str(ada.id),)]


async def test_who_asks_for_it_gets_it_whatever_the_settings_say(world: World) -> None:
    ada = await world.user()
    unwanted = {"weekly_summary": False, "weekly_idle": False}
    await ada.call("PATCH", "/api/v1/users/me/mail-preferences", json=unwanted)
    await ada.post(PATH)
    await world.make_due()
    await world.work()
    [mail] = world.mails(ada.address)
    assert "No more" not in mail.get_body(("plain",)).get_content(), "there is no link for it"


async def test_it_is_spread_over_an_hour(world: World) -> None:
    for number in range(20):
        await (await world.user(f"ada{number}@example.com")).log(activity_date=ago(days=2))
    await world.jobs_defer("activelog.summaries.weekly")
    await world.work()
    [(first, last)] = await world.rows(
        "SELECT min(scheduled_at) - now(), max(scheduled_at) - now() FROM procrastinate_jobs"
        " WHERE task_name = 'activelog.summaries.weekly_mail'"
    )
    assert first < timedelta(minutes=30)
    assert timedelta(minutes=30) < last <= timedelta(hours=1)


async def test_a_tick_that_is_over_a_day_late_is_skipped(world: World) -> None:
    await (await world.user()).log(activity_date=ago(days=2))
    late = int((NOW - timedelta(hours=25)).timestamp())
    await world.jobs_defer("activelog.summaries.weekly", timestamp=late)
    await world.work()
    assert await world.value("SELECT outcome FROM schedule_runs") == "skipped"
    assert await world.value("SELECT count(*) FROM mails") == 0


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "אדה", "🎉" * 75])
async def test_hostile_names_stay_text(world: World, name: str) -> None:
    ada = await world.user()
    await world.rows("UPDATE users SET name = %s", name)
    await ada.log(activity_date=ago(hours=1), activity_type="<b>bold</b>")
    await ada.post(PATH)
    await world.make_due()
    await world.work()
    [mail] = world.mails(ada.address)
    html = mail.get_body(("html",)).get_content()
    assert "<script>" not in html
    assert "<b>" not in html
    assert len(mail.as_bytes()) < 90_000


async def test_the_same_request_again_sends_one_mail(world: World) -> None:
    ada = await world.user()
    key = {"Idempotency-Key": "one"}
    first, again = [await ada.post(PATH, headers=key) for _ in range(2)]
    assert first.json() == again.json()
    assert first.headers["Retry-After"] == "300"
    assert await world.value("SELECT count(*) FROM mails") == 1


async def test_a_mail_whose_content_cannot_be_read_has_failed_in_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("it went wrong")

    monkeypatch.setattr("activelog.statistics.tasks.queries.weeks", broken)
    ada = await world.user()
    await ada.post(PATH)
    for _ in range(4):
        await world.make_due()
        await world.work()
    found = await world.rows("SELECT state, answer, finished_at IS NOT NULL FROM mails")
    assert found == [("failed", "it went wrong", True)]


async def test_it_says_when_nothing_was_sent(world: World) -> None:
    ada = await world.user()
    await world.rows(
        "INSERT INTO suppressed_addresses (address, answer) VALUES (%s, '550 5.1.1 gone')",
        ada.address,
    )
    job = (await ada.post(PATH)).json()["job_id"]
    await world.make_due()
    await world.work()
    status = (await ada.get(f"/api/v1/jobs/{job}")).json()
    assert status["status"] == "completed"
    assert "does not take mails" in status["message"]


async def test_the_mail_tells_of_a_record_and_of_nothing_that_was_reached_before(
    world: World,
) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    for user in (ada, bob):
        await user.log(activity_date=ago(days=9), activity_type="running", distance_km=10)
        await user.log(activity_date=ago(days=300), activity_type="cycling", distance_km=80)
        await user.log(activity_date=ago(hours=3), activity_type="cycling", distance_km=80)
        await user.log(activity_date=ago(hours=2), activity_type="hiking", distance_km=30)
    await ada.log(activity_date=ago(hours=2), activity_type="running", distance_km=12)
    await ada.log(activity_date=ago(hours=1), activity_type="running", distance_km=21.1)
    gone = await bob.log(activity_date=ago(hours=1), activity_type="running", distance_km=99)
    await bob.call("DELETE", f"/api/v1/activities/{gone['id']}")
    for user in (ada, bob):
        await user.post(PATH)
    await world.make_due()
    await world.work()
    texts = {
        user.address: world.mails(user.address)[0].get_body(("plain",)).get_content()
        for user in (ada, bob)
    }
    told = [line for line in texts[ada.address].splitlines() if "record" in line]
    assert told == ["  A record: running, your farthest so far, 21.10 km"]
    assert "record" not in texts[bob.address]


def test_a_change_reads_the_same_in_every_language() -> None:
    assert change(24, 2) == ("+1100 % on", 1)  # `1,100 %` is little more than one in German
