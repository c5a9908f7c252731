"""What only a hostile or an unlucky person sends."""

import asyncio

import pytest

from activelog.http import SESSION_COOKIE
from tests.conftest import World

NINES = "9" * 5000
ORIGIN = {"Origin": "http://activelog.test"}


@pytest.mark.parametrize("zone", ["localtime", "right/Europe/Berlin", "posix/UTC", "Factory", "x"])
async def test_a_zone_of_one_machine_is_refused(world: World, zone: str) -> None:
    ada = await world.user()
    answer = await ada.call("PATCH", "/api/v1/users/me", json={"zone": zone})
    assert (answer.status_code, "zone" in answer.text) == (400, True)


async def test_a_zone_that_postgres_does_not_know_stops_nobody(world: World) -> None:
    ada = await world.user()
    await world.rows("UPDATE users SET zone = 'Europe/Atlantis'")
    assert await world.value("SELECT zone FROM users") == "UTC"
    await ada.log()


async def test_numbers_that_no_id_has_are_not_found(world: World) -> None:
    ada = await world.user()
    for path in ("activities/", "auth/sessions/", "friends/"):
        assert (await ada.call("DELETE", f"/api/v1/{path}{NINES}")).status_code == 404
    assert (await world.http.get(f"/activities/{NINES}")).status_code == 404
    assert (await ada.get(f"/api/v1/activities/{2**63}")).status_code == 404


async def test_columns_end_where_they_end(world: World) -> None:
    ada = await world.user()
    streamed = await ada.get("/api/v1/activities/export/csv/download?columns=title%0A")
    asked = await ada.post("/api/v1/activities/export/csv", json={"columns": "title\n"})
    assert (streamed.status_code, asked.status_code) == (400, 400)


@pytest.mark.parametrize("encoding", ["Shift_JIS", "utf-7", "bogus"])
async def test_a_track_in_an_encoding_that_nobody_reads_fails_once(
    world: World, encoding: str
) -> None:
    ada = await world.user()
    gpx = f'<?xml version="1.0" encoding="{encoding}"?><gpx><trk></trk></gpx>'
    answer = await ada.post("/api/v1/activities/import", content=gpx.encode())
    if answer.status_code == 202:
        await world.work()
        status = (await ada.get(answer.json()["status_url"])).json()
        assert status["status"] == "failed"
        assert "save it as UTF-8" in status["error"]
    else:
        assert answer.status_code == 400


async def test_a_meaning_is_said_once(world: World) -> None:
    ada = await world.user()
    table = b"Wann,Dauer,Zwei\n2024-01-01,30,60\n"
    twice = await ada.post("/api/v1/activities/import?columns=date=Wann,date=Dauer", content=table)
    assert (twice.status_code, "said twice" in twice.text) == (400, True)
    assert await world.value("SELECT count(*) FROM import_columns") == 0


async def test_ten_webhooks_are_ten_also_when_they_come_at_once(world: World) -> None:
    ada = await world.user()
    answers = await asyncio.gather(
        *(
            ada.post(
                "/api/v1/webhooks",
                json={"url": f"https://example.com/{n}", "events": ["activity.created"] * 2},
            )
            for n in range(25)
        )
    )
    made = [answer for answer in answers if answer.status_code == 201]
    assert len(made) == 10
    assert made[0].json()["events"] == ["activity.created"]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://[::1]/", "https://2130706433/", "https://0x7f.1/",
        "https://169.254.169.254/", "https://exam ple.com/",
        "https://a..b/", "https://./", "https://-/", "https://example.com/\u0001",
        "https://example.com:0/", "https://:@example.com/", "https://bücher.example/",
    ],
)  # fmt: skip
async def test_addresses_that_never_work_are_no_webhooks(world: World, url: str) -> None:
    ada = await world.user()
    body = {"url": url, "events": ["activity.created"]}
    answer = await ada.post("/api/v1/webhooks", json=body)
    assert (answer.status_code, "url" in answer.text) == (400, True)


@pytest.mark.parametrize("email", ["", "x", "a@b", "😀", "ada@example.com", "ADA@example.com"])
async def test_nobody_waits_for_a_text_or_themselves(world: World, email: str) -> None:
    ada = await world.user()
    await ada.post("/api/v1/friends/requests", json={"email": email})
    assert (await ada.get("/api/v1/friends/requests/sent")).json() == {"requests": []}


async def test_a_format_is_said_once(world: World) -> None:
    ada = await world.user()
    answer = await ada.post("/api/v1/export/request?format=csv", json={"format": "pdf"})
    assert (answer.status_code, "format" in answer.text) == (400, True)
    assert (await ada.post("/api/v1/export/request?format=csv", json={})).status_code == 202


async def test_a_text_is_as_long_as_it_is_stored(world: World) -> None:
    ada = await world.user()
    body = {"duration_minutes": 1, "activity_date": "2024-01-15T06:30:00Z", "distance_km": 1}
    answer = await ada.post("/api/v1/activities", json=body | {"activity_type": "\u0958" * 50})
    assert (answer.status_code, "activity_type" in answer.text) == (400, True)


async def test_what_a_form_says_of_time(world: World) -> None:
    ada = await world.user()
    await world.rows("UPDATE users SET zone = 'Europe/Berlin'")
    world.http.cookies.set(SESSION_COOKIE, ada.headers["Authorization"].removeprefix("Bearer "))
    form = {"activity_type": "run", "distance_km": "1", "activity_date": "2024-03-31T02:30"}
    endless = await world.http.post(
        "/activities", data=form | {"duration_minutes": f"{NINES}:30"}, headers=ORIGIN
    )
    assert endless.status_code == 400
    for when in ("2024-03-31T02:30", "2024-01-16T06:30:00+14:00"):
        answer = await world.http.post(
            "/activities",
            data=form | {"duration_minutes": "30", "activity_date": when},
            headers=ORIGIN,
        )
        assert answer.status_code == 303, answer.text
    rows = await world.rows("SELECT activity_date::text, utc_offset FROM activities ORDER BY id")
    assert rows == [("2024-03-31 01:30:00+00", 120), ("2024-01-15 16:30:00+00", 840)]


async def test_refusals_are_in_words(world: World) -> None:
    ada = await world.user()
    answer = await ada.post("/api/v1/activities", json={"calories": ""})
    assert "a whole number or null" in answer.text
    for method, path, body in (
        ("PATCH", "/api/v1/users/me", {"units": "ells"}),
        ("POST", "/api/v1/webhooks", {"url": "https://example.com", "events": ["x"]}),
        ("POST", "/api/v1/export/request", {"format": "xls"}),
    ):
        refused = await ada.call(method, path, json=body)
        assert (refused.status_code, "must be one of " in refused.text) == (400, True), path
