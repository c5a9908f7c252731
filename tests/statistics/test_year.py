"""A year at a glance, held against a plain computation."""

import random
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.conftest import User, World
from tests.http.test_pages import browse

AT = "/api/v1/stats/year"


async def log_much(ada: User, seed: int) -> list[dict[str, Any]]:
    draw, logged = random.Random(seed), []
    for _ in range(120):
        at = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(minutes=draw.randrange(730 * 1440))
        fields = {
            "activity_type": draw.choice(["run", "ride", "yoga"]),
            "duration_minutes": draw.randrange(5, 200),
            "distance_km": draw.choice([0, draw.randrange(100_000) / 1000]),
            "activity_date": at.isoformat(),
        }
        await ada.log(**fields)
        logged.append(fields | {"day": at.date()})
    return logged


async def test_figures_records_and_streaks_are_those_of_a_plain_computation(world: World) -> None:
    ada = await world.user()
    logged = await log_much(ada, 1)
    stats = (await ada.get(f"{AT}?year=2024")).json()
    now = [one for one in logged if one["day"].year == 2024]
    before = [one for one in logged if one["day"].year == 2023]
    for name, rows in (("figures", now), ("before", before)):
        found = stats[name]
        assert found["activities"] == len(rows)
        assert found["minutes"] == sum(one["duration_minutes"] for one in rows)
        assert abs(found["kilometres"] - sum(one["distance_km"] for one in rows)) < 1e-6
        assert found["days"] == len({one["day"] for one in rows})
    months = Counter[int]()
    for one in now:
        months[one["day"].month] += one["duration_minutes"]
    assert stats["minutes_by_month"] == [months[month] for month in range(1, 13)]
    assert stats["all_time"]["activities"] == 120
    total = sum(one["distance_km"] for one in logged)
    assert stats["all_time"]["kilometres"] == round(total, 3)
    longest = max(one["duration_minutes"] for one in logged)
    assert stats["records"][0]["minutes"] == longest
    for record in stats["records"][1:]:
        ways = [one["distance_km"] for one in logged
                if one["activity_type"] == record["activity_type"]]  # fmt: skip
        assert record["kilometres"] == max(ways)
    assert stats["streaks"][0]["days"] == longest_streak({one["day"] for one in logged})


def longest_streak(days: set[date]) -> int:
    best = 0
    for day in days:
        length = 1
        while day + timedelta(days=length) in days:
            length += 1
        best = max(best, length)
    return best


async def test_a_year_under_way_is_held_against_as_much_of_the_year_before(world: World) -> None:
    ada = await world.user()
    today = datetime.now(UTC)
    for days in (1, -1):
        at = (today + timedelta(days=days)).replace(year=today.year - 1)
        await ada.log(activity_date=at.isoformat())
    await ada.log(activity_date=today.isoformat())
    stats = (await ada.get(AT)).json()
    assert stats["year"] == today.year
    assert (stats["figures"]["activities"], stats["before"]["activities"]) == (1, 1)
    assert {one["kind"] for one in stats["streaks"]} == {"longest", "current"}


async def test_a_year_is_shown_to_whoever_has_the_link_until_it_is_taken_back(
    world: World,
) -> None:
    ada = await world.user()
    ours = browse(world, ada)
    await ada.log(activity_date="2024-02-29T12:00:00Z", notes="a secret", title="my title")
    form = {"year": "2024"}
    await world.http.post("/statistics/year/share", data=form, headers=ours)
    await world.http.post("/statistics/year/share", data=form, headers=ours)
    page = (await world.http.get("/statistics/year?year=2024")).text
    assert "29 February: 45 min" in page
    [path] = re.findall(r"(/shared/year\?token=[\w-]+)", page)
    world.http.cookies.clear()
    shown = await world.http.get(path)
    assert shown.status_code == 200
    assert "29 February: 45 min" in shown.text
    assert "noindex" in shown.text
    for secret in ("a secret", "my title", ada.address, "/activities/"):
        assert secret not in shown.text
    ours = browse(world, ada)
    await world.http.post("/statistics/year/unshare", data=form, headers=ours)
    assert (await world.http.get(path)).status_code == 404
    assert (await world.http.get("/shared/year?token=")).status_code == 404


async def test_an_empty_year_is_a_page_too(world: World) -> None:
    ada = await world.user()
    browse(world, ada)
    page = await world.http.get("/statistics/year?year=1999")
    assert page.status_code == 200
    assert "Nothing in 1999" in page.text
    assert (await ada.get(f"{AT}?year=99999")).status_code == 400
