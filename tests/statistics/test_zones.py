"""Days, weeks and months are those of the place where somebody was."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from zoneinfo import ZoneInfo

import pytest
from pypdf import PdfReader

from activelog.base.date_ranges import midnight, month_of
from activelog.monthly_reports import queries as monthly_reports
from tests.conftest import User, World
from tests.exports.test_csv_export import download
from tests.http.test_pages import browse
from tests.imports.test_import import finish, upload
from tests.statistics.test_stats import night, stats

ZONES = ["UTC", "Asia/Tokyo", "America/Los_Angeles", "Asia/Kathmandu", "Australia/Lord_Howe",
         "Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago"]  # fmt: skip


async def move(user: User, zone: str) -> None:
    answer = await user.call("PATCH", "/api/v1/users/me", json={"zone": zone})
    assert answer.json()["zone"] == zone


async def test_a_runner_in_tokyo_logs_today(world: World) -> None:
    ada = await world.user()
    await move(ada, "Asia/Tokyo")
    logged = await ada.log(activity_date="2024-01-31T22:30:00Z")
    assert (logged["activity_date"], logged["utc_offset"]) == ("2024-01-31T22:30:00Z", 540)
    asked = {"start_date": "2024-01-01", "end_date": "2024-02-28"}
    [figures] = await stats(ada, "monthly", **asked)
    assert figures["start_date"] == "2024-02-01"
    job = (await ada.post("/api/v1/activities/export/pdf", json={"month": "2024-02"})).json()
    pdf = await download(ada, await finish(ada, job))
    assert "1 Feb 2024" in PdfReader(BytesIO(pdf)).pages[0].extract_text()


async def test_an_offset_that_is_said_counts_before_the_zone(world: World) -> None:
    ada = await world.user()
    await move(ada, "Europe/Berlin")
    logged = await ada.log(activity_date="2024-07-15T06:30:00-07:00")
    assert logged["utc_offset"] == -420
    path = f"/api/v1/activities/{logged['id']}"
    changed = await ada.call("PATCH", path, json={"notes": "on a journey"})
    assert changed.json()["utc_offset"] == -420
    changed = await ada.call("PATCH", path, json={"activity_date": "2024-12-15T06:30:00Z"})
    assert changed.json()["utc_offset"] == 60


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_figures_are_those_of_a_plain_computation(world: World, seed: int) -> None:
    """Over changes of the clocks, half hours, moves from zone to zone, and nights in between."""
    chance = random.Random(seed)
    ada, now = await world.user(), datetime.now(UTC)
    days: Counter[date] = Counter()
    for number in range(80):
        if number % 8 == 0:
            zone = chance.choice(ZONES)
            await move(ada, zone)
        moment = now - timedelta(minutes=chance.randint(0, 300 * 24 * 60))
        minutes = chance.randint(1, 200)
        await ada.log(activity_date=moment.isoformat(), duration_minutes=minutes)
        days[moment.astimezone(ZoneInfo(zone)).date()] += minutes
        if chance.random() < 0.1:
            await night(world)
    first, last = (now - timedelta(days=310)).date(), (now + timedelta(days=1)).date()
    found = await stats(ada, "daily", start_date=f"{first}", end_date=f"{last}")
    assert {date.fromisoformat(one["start_date"]): one["minutes"] for one in found} == days
    weeks: Counter[date] = Counter()
    for day, minutes in days.items():
        weeks[day - timedelta(days=day.weekday())] += minutes
    found = await stats(ada, "weekly", start_date=f"{first}", end_date=f"{last}")
    assert {date.fromisoformat(one["start_date"]): one["minutes"] for one in found} == weeks


GARMIN = (
    "Activity Type,Date,Favorite,Title,Distance,Calories,Time\n"
    "Running,2024-07-15 06:30:00,false,Home,7.50,430,00:45:00\n"
)


@pytest.mark.parametrize(
    ("query", "moment", "offset"),
    [("", "2024-07-15T04:30:00Z", 120), ("zone=Asia/Tokyo&", "2024-07-14T21:30:00Z", 540)],
)
async def test_times_of_a_tracker_are_those_of_its_owner(
    world: World, query: str, moment: str, offset: int
) -> None:
    ada = await world.user()
    await move(ada, "Europe/Berlin")
    path = f"/api/v1/activities/import?{query}units=km"
    await finish(ada, (await ada.post(path, content=GARMIN)).json())
    [one] = (await ada.get("/api/v1/activities")).json()["activities"]
    assert (one["activity_date"], one["utc_offset"]) == (moment, offset)
    assert (one["title"], one["notes"], one["source"]) == ("Home", "", "garmin")


async def test_our_own_times_are_moments(world: World) -> None:
    ada = await world.user()
    await move(ada, "Europe/Berlin")
    own = b"activity_type,duration_minutes,activity_date\r\nrunning,45,2024-07-15T06:30:00Z\r\n"
    await finish(ada, await upload(ada, own))
    [one] = (await ada.get("/api/v1/activities")).json()["activities"]
    assert (one["activity_date"], one["utc_offset"]) == ("2024-07-15T06:30:00Z", 120)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "", "Europe", "a\0b"])
async def test_what_is_no_zone_is_refused(world: World, zone: str) -> None:
    ada = await world.user()
    answer = await ada.call("PATCH", "/api/v1/users/me", json={"zone": zone})
    assert answer.status_code == 400
    path = f"/api/v1/activities/import?zone={zone.replace(chr(0), '%00') or 'x'}"
    assert (await ada.post(path, content=GARMIN)).status_code == 400


async def test_a_months_report_waits_for_the_end_of_the_month_there(world: World) -> None:
    ada = await world.user()
    await move(ada, "Pacific/Pago_Pago")
    await ada.log(activity_date=datetime.now(UTC).isoformat())
    month = month_of((datetime.now(UTC) - timedelta(hours=11)).date())
    async with world.pool.connection() as conn:
        await monthly_reports.fan_out(conn, 0, month, limit=10, task="report", queue="low")
    starts = await world.value("SELECT scheduled_at FROM procrastinate_jobs")
    assert starts == midnight(month.until) + timedelta(hours=11)


async def test_weekly_mails_wait_for_the_end_of_the_week_there(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await move(ada, "Pacific/Pago_Pago")  # eleven hours behind
    await move(bob, "Pacific/Kiritimati")  # fourteen ahead
    for user in (ada, bob):
        await user.log(activity_date=datetime.now(UTC).isoformat())
    today = datetime.now(UTC).date()
    await world.jobs_defer("activelog.summaries.weekly", day=f"{today}")
    await world.work()
    waits = dict(await world.rows(
        "SELECT (args->>'user_id')::bigint, scheduled_at FROM procrastinate_jobs"
        " WHERE task_name = 'activelog.summaries.weekly_mail' AND scheduled_at IS NOT NULL"
    ))  # fmt: skip
    over = datetime(today.year, today.month, today.day, 11, tzinfo=UTC)
    assert waits[ada.id] >= over
    assert waits[bob.id] <= datetime.now(UTC) + timedelta(hours=1)


async def test_pages_show_and_take_the_persons_clock(world: World) -> None:
    ada = await world.user()
    await move(ada, "Asia/Kathmandu")
    ours = browse(world, ada)
    await ada.log(activity_date="2024-01-31T20:00:00Z", title="Over the bridge")
    page = await world.http.get("/activities?start_date=2024-02-01&end_date=2024-02-01")
    assert "1 Feb 2024, 01:45" in page.text
    assert "Over the bridge" in page.text
    assert "Asia/Kathmandu" in page.text
    empty = await world.http.get("/activities?end_date=2024-01-31")
    assert "No activities like that" in empty.text
    form = {"activity_type": "yoga", "duration_minutes": "30", "activity_date": "2024-02-03T07:00"}
    await world.http.post("/activities", data=form, headers=ours)
    newest = (await ada.get("/api/v1/activities")).json()["activities"][0]
    assert (newest["activity_date"], newest["utc_offset"]) == ("2024-02-03T01:15:00Z", 345)
    form |= {"activity_date": "2024-02-03T07:00:00", "notes": "felt good"}
    await world.http.post(f"/activities/{newest['id']}", data=form, headers=ours)
    same = (await ada.get(f"/api/v1/activities/{newest['id']}")).json()
    assert (same["activity_date"], same["notes"]) == ("2024-02-03T01:15:00Z", "felt good")


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "UTC"])
async def test_the_same_days_choose_the_same_activities_everywhere(world: World, zone: str) -> None:
    """List, CSV at once and as a job, PDF, statistics, the page."""
    ada = await world.user()
    await move(ada, zone)
    start = datetime(2014, 10, 30, tzinfo=UTC)
    for hours in range(0, 34 * 24, 7):
        await ada.log(activity_date=(start + timedelta(hours=hours)).isoformat())
    expected = await world.value(
        "SELECT count(*) FROM activities"
        " WHERE local_time >= '2014-11-01' AND local_time < '2014-12-01'"
    )
    days = {"start_date": "2014-11-01", "end_date": "2014-11-30"}
    query = "start_date=2014-11-01&end_date=2014-11-30"
    listed = (await ada.get(f"/api/v1/activities?{query}&limit=200")).json()["activities"]
    assert len(listed) == expected
    at_once = (await ada.get(f"/api/v1/activities/export/csv/download?{query}")).text
    assert at_once.count("\r\n") == expected + 1
    counts = []
    for path, body in (("csv", days), ("pdf", {"report_type": "range"} | days)):
        job = (await ada.post(f"/api/v1/activities/export/{path}", json=body)).json()
        counts.append((await finish(ada, job))["result"]["record_count"])
    assert counts == [expected, expected]
    months = await stats(ada, "monthly", **days)
    assert sum(month["activities"] for month in months) == expected
    browse(world, ada)
    page = (await world.http.get("/activities?start_date=2014-11-01&end_date=2014-11-01")).text
    first = (await ada.get("/api/v1/activities?start_date=2014-11-01&end_date=2014-11-01")).json()
    assert page.count('href="/activities/') >= len(first["activities"]) > 2


async def test_moments_choose_by_moments_and_a_report_by_the_days_that_are_written(
    world: World,
) -> None:
    ada = await world.user()
    await move(ada, "Pacific/Auckland")
    await ada.log(activity_date="2014-11-01T11:30:00Z")  # the second of November there
    asked = "start_date=2014-11-02T00:00:00%2B13:00&end_date=2014-11-02T23:59:59%2B13:00"
    assert len((await ada.get(f"/api/v1/activities?{asked}")).json()["activities"]) == 1
    days = {"start_date": "2014-11-02T00:00:00+13:00", "end_date": "2014-11-02T23:59:59+13:00"}
    [day] = await stats(ada, "daily", **days)
    assert (day["start_date"], day["activities"]) == ("2014-11-02", 1)


async def test_a_place_that_is_level_with_utc_is_a_place(world: World) -> None:
    ada = await world.user()
    await move(ada, "Europe/Berlin")
    table = "Date,Type,Time,Distance (km)\n2026-01-14 23:30,Run,0:30:00,5\n"
    accepted = await ada.post("/api/v1/activities/import?zone=Europe/London", content=table)
    await finish(ada, accepted.json())
    own = (
        "activity_type,duration_minutes,distance_km,activity_date,start_local\r\n"
        "yoga,30,0,2026-01-14T23:30:00Z,2026-01-14T23:30:00+00:00\r\n"
    )
    await finish(ada, await upload(ada, own))
    rows = await world.rows("SELECT activity_type, utc_offset FROM activities ORDER BY id")
    assert rows == [("running", 0), ("yoga", 0)]


async def test_a_time_at_utc_is_changed_where_it_is(world: World) -> None:
    ada = await world.user()
    logged = await ada.log(activity_date="2026-06-10T23:00:00Z")
    await move(ada, "Europe/Berlin")
    ours = browse(world, ada)
    form = {"activity_type": "run", "duration_minutes": "45", "distance_km": "7.5",
            "activity_date": "2026-06-10T23:05:00"}  # fmt: skip
    path = f"/activities/{logged['id']}"
    assert (await world.http.post(path, data=form, headers=ours)).status_code == 303
    changed = (await ada.get(f"/api/v1{path}")).json()
    assert (changed["activity_date"], changed["utc_offset"]) == ("2026-06-10T23:05:00Z", 0)
