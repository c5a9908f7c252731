from typing import Any

import pytest

from activelog import http
from tests.conftest import World

BEYOND = http.encode_cursor("2024-01-01T00:00:00Z", 2**63)
RUN: dict[str, Any] = {
    "activity_type": "running",
    "duration_minutes": 45,
    "distance_km": 7.5,
    "activity_date": "2024-01-15T06:30:00Z",
}


async def test_create_read_change_delete(world: World) -> None:
    ada = await world.user()
    created = await ada.post("/api/v1/activities", json=RUN | {"tags": ["morning"]})
    assert created.status_code == 201
    path = created.headers["Location"]
    assert (await ada.get(path)).json() == created.json()
    changed = await ada.call("PATCH", path, json={"notes": "Rain", "distance_km": 8})
    assert changed.json()["notes"] == "Rain"
    assert changed.json()["distance_km"] == 8
    assert changed.json()["tags"] == ["morning"]
    assert (await ada.call("DELETE", path)).status_code == 204
    assert (await ada.get(path)).status_code == 404
    assert (await ada.call("DELETE", path)).status_code == 404
    assert await world.value("SELECT count(*) FROM activities WHERE deleted_at IS NOT NULL") == 1


async def test_what_is_somebody_elses_is_not_there(world: World) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    path = f"/api/v1/activities/{(await ada.log())['id']}"
    for method, body in (("GET", None), ("PATCH", {"notes": "mine"}), ("DELETE", None)):
        assert (await eve.call(method, path, json=body)).status_code == 404
    assert (await ada.get(path)).json()["notes"] == ""
    assert (await eve.get("/api/v1/activities")).json()["activities"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"duration_minutes": 0, "distance_km": 0},
        {"distance_km": 4000.0},
        {"activity_type": "晚间跑步", "notes": "🎉 שלום\n\tzweite Zeile", "tags": ["公园", "'=x"]},
        {"activity_date": "2024-02-29T23:59:59+05:30"},
        {"calories": None},
    ],
)
async def test_unusual_but_real_activities(world: World, fields: dict[str, Any]) -> None:
    ada = await world.user()
    created = await ada.log(**fields)
    for name, value in fields.items():
        if name != "activity_date":
            assert created[name] == value


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"duration_minutes": -1}, "duration_minutes"),
        ({"duration_minutes": 45.5}, "duration_minutes"),
        ({"duration_minutes": "45"}, "duration_minutes"),
        ({"duration_minutes": 10**30}, "duration_minutes"),
        ({"distance_km": -0.1}, "distance_km"),
        ({"distance_km": 1e308}, "distance_km"),
        ({"activity_date": "0001-01-01T00:00:00Z"}, "activity_date"),
        ({"activity_date": "0001-01-01T00:00:00+14:00"}, "activity_date"),
        ({"activity_date": "2024-02-30T00:00:00Z"}, "activity_date"),
        ({"activity_date": "2024-01-15T06:30:00"}, "activity_date"),
        ({"activity_type": ""}, "activity_type"),
        ({"activity_type": "a\nb"}, "activity_type"),
        ({"activity_type": "x" * 51}, "activity_type"),
        ({"tags": ["a,b"]}, "tags"),
        ({"tags": ["x"] * 21}, "tags"),
        ({"tags": "morning"}, "tags"),
        ({"notes": "x" * 10_001}, "notes"),
        ({"colour": "red"}, "colour"),
        ({"activity_type": None}, "activity_type"),
    ],
)
async def test_bad_fields_are_named_and_nothing_is_written(
    world: World, fields: dict[str, Any], field: str
) -> None:
    ada = await world.user()
    refused = await ada.post("/api/v1/activities", json=RUN | fields)
    assert refused.status_code == 400
    assert field in "".join(refused.json()["details"])
    assert await world.value("SELECT count(*) FROM activities") == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"not json", 400),
        (b"[]", 400),
        (b'"text"', 400),
        (b"\xff\xfe", 400),
        (b'{"notes": "\xff"}', 400),
        (b'{"notes": "a\\u0000b"}', 400),
        (b'{"notes": "\\ud800"}', 400),
        (b'{"distance_km": NaN}', 400),
        (b'{"notes": "' + b"x" * 2_000_000 + b'"}', 413),
        (b"[" * 200_000, 400),
    ],
)
async def test_bodies_that_are_no_activity(world: World, body: bytes, status: int) -> None:
    ada = await world.user()
    refused = await ada.post("/api/v1/activities", content=body)
    assert refused.status_code == status, refused.text
    assert refused.json().keys() >= {"error", "message"}
    assert await world.value("SELECT count(*) FROM activities") == 0


async def test_a_list_goes_page_by_page_without_gaps_or_repeats(world: World) -> None:
    ada = await world.user()
    for day in (1, 2, 2, 2, 3):
        await ada.log(activity_date=f"2024-01-0{day}T10:00:00Z")
    seen, cursor = [], ""
    while True:
        page = (await ada.get(f"/api/v1/activities?limit=2{cursor}")).json()
        seen += [activity["id"] for activity in page["activities"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    everything = (await ada.get("/api/v1/activities")).json()["activities"]
    assert seen == [activity["id"] for activity in everything]
    assert len(seen) == 5


async def test_a_list_is_filtered_by_day_type_and_tag(world: World) -> None:
    ada = await world.user()
    await ada.log(activity_date="2024-01-31T23:59:59Z", tags=["outdoor"])
    await ada.log(activity_date="2024-02-01T00:00:00Z", activity_type="yoga")

    async def found(query: str) -> int:
        return len((await ada.get(f"/api/v1/activities?{query}")).json()["activities"])

    assert await found("start_date=2024-01-01&end_date=2024-01-31") == 1
    assert await found("end_date=2024-02-01") == 2
    assert await found("end_date=2024-01-31T23:59:58Z") == 0
    assert await found("type=yoga") == 1
    assert await found("tag=outdoor") == 1
    assert await found("tag=outdoor&type=yoga") == 0


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "cursor=x", "cursor=W10", f"cursor={BEYOND}",
     "start_date=2024-13-01", "start_date=yesterday", "start_date=2024-02-02&end_date=2024-02-01",
     "page=2", "start_date=0001-01-01", "tag=a%00b"],
)  # fmt: skip
async def test_bad_queries_are_refused(world: World, query: str) -> None:
    ada = await world.user()
    refused = await ada.get(f"/api/v1/activities?{query}")
    assert refused.status_code == 400, refused.text


async def test_addresses_that_are_none(world: World) -> None:
    ada = await world.user()
    for path in ("/nothing", "/api/v1/activities/abc", "/api/v1/activities/-1",
                 f"/api/v1/activities/{2**63}", "/api/v1/jobs/not-a-uuid"):  # fmt: skip
        missing = await ada.get(path)
        assert missing.status_code == 404
        assert missing.json()["error"] == "not found"
    assert (await ada.call("PUT", "/api/v1/activities")).status_code == 405
    assert (await world.http.get("/api/v1/activities")).status_code == 401


async def test_a_moving_time_is_of_its_duration(world: World) -> None:
    ada = await world.user()
    body = {"activity_type": "running", "duration_minutes": 35, "moving_minutes": 30,
            "distance_km": 5, "activity_date": "2024-02-03T07:00:00Z"}  # fmt: skip
    made = (await ada.post("/api/v1/activities", json=body)).json()
    path = f"/api/v1/activities/{made['id']}"
    too_long = await ada.call("PATCH", path, json={"moving_minutes": 36})
    assert too_long.status_code == 400
    assert "duration_minutes" in too_long.json()["message"]
    assert (
        await ada.post("/api/v1/activities", json=body | {"duration_minutes": 10})
    ).status_code == 400
    same = (await ada.call("PATCH", path, json={"duration_minutes": 35, "notes": "a"})).json()
    assert same["moving_minutes"] == 30
    both = (
        await ada.call("PATCH", path, json={"duration_minutes": 60, "moving_minutes": 50})
    ).json()
    assert both["moving_minutes"] == 50
    other = (await ada.call("PATCH", path, json={"duration_minutes": 70})).json()
    assert other["moving_minutes"] is None, "nobody knows how long it was of these"
