"""Statistics against the raw rows, whatever happened to them and whenever the night came."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import User, World

UNITS = ["daily", "weekly", "monthly"]
RAW = """
SELECT count(*)::integer, coalesce(sum(duration_minutes), 0)::integer,
       coalesce(round(sum(distance_km)::numeric, 3), 0)::float8, coalesce(sum(calories), 0)::integer
FROM activities
WHERE user_id = %s AND deleted_at IS NULL AND activity_date >= %s AND activity_date < %s
"""


async def night(world: World, **args: Any) -> None:
    await world.jobs_defer("activelog.summaries.daily_stats", **args)
    await world.work()
    assert await world.value("SELECT outcome FROM schedule_runs ORDER BY id DESC") == "succeeded"


async def stats(user: User, unit: str = "daily", **query: str) -> list[dict[str, Any]]:
    found = await user.get(f"/api/v1/stats/{unit}", params=query)
    assert found.status_code == 200, found.text
    listed: list[dict[str, Any]] = found.json()["stats"]
    return listed


async def check(world: World, user: User, start: date, end: date) -> None:
    """Every unit's figures are those of the rows."""
    for unit in UNITS:
        listed = await stats(user, unit, start_date=f"{start}", end_date=f"{end}")
        firsts = [date.fromisoformat(figures["start_date"]) for figures in listed]
        for first, figures in zip(firsts, listed, strict=True):
            until = {"daily": first + timedelta(days=1), "weekly": first + timedelta(days=7),
                     "monthly": (first + timedelta(days=31)).replace(day=1)}[unit]  # fmt: skip
            until = min(until, end + timedelta(days=1))
            [raw] = await world.rows(RAW, user.id, first, until)
            sums = (figures["activities"], figures["minutes"], figures["kilometres"],
                    figures["calories"])  # fmt: skip
            assert sums == pytest.approx(raw)
            types = figures["by_type"].values()
            assert sum(kind["activities"] for kind in types) == figures["activities"]
            assert sum(kind["minutes"] for kind in types) == figures["minutes"]
        total = await world.rows(RAW, user.id, min(firsts, default=start), end + timedelta(days=1))
        assert sum(figures["activities"] for figures in listed) == total[0][0]


@pytest.mark.parametrize(
    ("now", "is_marked"), [("22:59:59", False), ("23:00:00", True), ("23:59:59", True)]
)
async def test_changes_in_the_hour_before_midnight_are_computed_again(
    world: World, now: str, is_marked: bool
) -> None:
    """They may be committed after the night's statistics were computed."""
    asked = "SELECT is_past_day('2024-01-15', %s::timestamptz)"
    assert await world.value(asked, f"2024-01-15 {now}Z") is is_marked
    assert await world.value("SELECT is_past_day(now()::date - 1, now())")
    assert not await world.value("SELECT is_past_day(now()::date + 1, now())")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_figures_are_exact_through_a_random_history(world: World, seed: int) -> None:
    chance = random.Random(seed)
    ada, bob = await world.user(), await world.user("bob@example.com")
    today = datetime.now(UTC).date()
    start = today - timedelta(days=100)
    mine: list[int] = []
    for _ in range(60):
        what = chance.choice(["log", "log", "log", "change", "delete", "night", "check"])
        day = today - timedelta(days=chance.randint(0, 90))
        when = f"{day}T{chance.randint(0, 23):02}:30:00Z"
        if what == "log":
            kilometres = round(chance.uniform(0, 50), 3)
            fields = {"activity_date": when, "duration_minutes": chance.randint(0, 200),
                      "distance_km": kilometres, "calories": chance.choice([None, 100]),
                      "activity_type": chance.choice(["running", "yoga", "晚间跑步"])}  # fmt: skip
            mine.append((await ada.log(**fields))["id"])
            await bob.log(**fields)
        elif what == "change" and mine:
            path = f"/api/v1/activities/{chance.choice(mine)}"
            await ada.call("PATCH", path, json={"activity_date": when})
        elif what == "delete" and mine:
            gone = mine.pop(chance.randrange(len(mine)))
            await ada.call("DELETE", f"/api/v1/activities/{gone}")
        elif what == "night":
            await night(world)
        else:
            await check(world, ada, start, today)
    await night(world)
    await night(world)
    await check(world, ada, start, today)
    # (In the hour before midnight today's are kept for the night that comes.)
    assert await world.value("SELECT count(*) FROM stale_days WHERE day < %s", today) == 0


async def test_a_night_computes_what_was_missed_and_what_changed(world: World) -> None:
    ada = await world.user()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for days in range(4):
        await ada.log(activity_date=(yesterday - timedelta(days=days)).isoformat())
    await night(world)
    assert await world.value("SELECT count(*) FROM daily_stats") == 4
    assert await world.value("SELECT counts->>'days' FROM schedule_runs") == "4"
    await ada.log(activity_date=yesterday.isoformat())
    assert await world.value("SELECT count(*) FROM stale_days") == 1
    await night(world)
    assert await world.value("SELECT max(activities) FROM daily_stats") == 2
    counts = await world.value("SELECT counts FROM schedule_runs ORDER BY id DESC")
    assert counts == {"changed days": 1}


async def test_a_day_by_hand_and_a_wrong_one(world: World) -> None:
    ada = await world.user()
    await ada.log(activity_date="2024-02-29T23:59:59Z")
    await night(world, day="2024-02-29")
    assert await world.rows("SELECT day, user_id FROM daily_stats") == [(date(2024, 2, 29), ada.id)]
    await world.jobs_defer("activelog.summaries.daily_stats", day="tomorrow")
    await world.work()
    [(outcome, error)] = await world.rows(
        "SELECT outcome, error FROM schedule_runs ORDER BY id DESC LIMIT 1")  # fmt: skip
    assert outcome == "failed"
    assert "2024-01-31" in error


async def test_pages_of_a_day_make_the_same_figures(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activelog.statistics import tasks

    monkeypatch.setattr(tasks, "PAGE", 3)
    for number in range(10):
        user = await world.user(f"ada{number}@example.com")
        for _ in range(number % 3):
            await user.log(activity_date="2024-01-15T06:30:00Z")
    assert await tasks.compute_day(world.services, date(2024, 1, 15)) == 6
    assert await world.value("SELECT sum(activities) FROM daily_stats") == 9


@pytest.mark.parametrize(
    "query",
    [
        {"start_date": "2020-01-01", "end_date": "2024-01-01"},
        {"start_date": "2024-02-01", "end_date": "2024-01-01"},
        {"start_date": "never"},
    ],
)
async def test_bad_ranges_are_refused(world: World, query: dict[str, str]) -> None:
    ada = await world.user()
    assert (await ada.get("/api/v1/stats/daily", params=query)).status_code == 400
