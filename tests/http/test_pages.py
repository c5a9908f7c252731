"""Pages without a browser: what they refuse, and where they lead."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from activelog import http
from tests.activities.test_photos import picture
from tests.conftest import PASSWORD, User, World


def browse(world: World, user: User) -> dict[str, str]:
    """As a browser that is signed in, on a page of ours."""
    token = user.headers["Authorization"].split()[1]
    world.http.cookies.set(http.SESSION_COOKIE, token)
    return {"Origin": world.settings.base_url, "Referer": f"{world.settings.base_url}/account"}


async def sign_in_admin(world: World) -> dict[str, str]:
    ada = await world.user()
    await world.rows("UPDATE users SET is_admin = true")
    return browse(world, ada)


async def test_who_is_not_signed_in_is_led_to_the_page_they_wanted(world: World) -> None:
    wanted = await world.http.get("/activities?type=yoga")
    assert wanted.headers["Location"] == "/sign-in?next=%2Factivities%3Ftype%3Dyoga"
    posted = await world.http.post("/account/mails", headers={"Referer": "http://x/account?a=1"})
    assert posted.headers["Location"] == "/sign-in?next=%2Faccount"
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example"):
        page = await world.http.get("/sign-in", params={"next": elsewhere})
        assert "evil" not in page.text


async def test_filters_stay_when_something_was_done_to_a_row(world: World) -> None:
    ours = await sign_in_admin(world)
    at = world.settings.base_url
    ours |= {"Referer": f"{at}/admin/mails?state=suppressed&before=9"}
    await world.rows("INSERT INTO suppressed_addresses (address, answer) VALUES ('a@x.test', '')")
    lift, form = "/admin/mails/lift", {"address": "a@x.test"}
    for _ in ("lifted", "gone by now"):
        answer = await world.http.post(lift, data=form, headers=ours)
        assert answer.headers["Location"] == "/admin/mails?state=suppressed&before=9"
    await world.rows("INSERT INTO suppressed_addresses (address, answer) VALUES ('a@x.test', '')")
    ours |= {"Referer": f"{at}/account?next=//evil.example"}
    answer = await world.http.post(lift, data=form, headers=ours)
    assert answer.headers["Location"] == "/admin/mails"
    ours |= {"Referer": f"{at}/activities?type=yoga"}
    run = {"activity_type": "run", "duration_minutes": "45", "activity_date": "2026-06-10T23:05"}
    answer = await world.http.post("/activities", data=run, headers=ours)
    assert answer.headers["Location"] == "/activities"


async def test_a_form_from_elsewhere_changes_nothing(world: World) -> None:
    ada = await world.user()
    ours = browse(world, ada)
    for headers in (
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ):
        refused = await world.http.post("/account/mails", data={}, headers=headers)
        assert refused.status_code == 403
    assert await world.value("SELECT count(*) FROM mail_preferences") == 0
    done = await world.http.post("/account/mails", data={"weekly_idle": "on"}, headers=ours)
    assert done.headers["Location"] == "/account"
    assert await world.value("SELECT count(*) FROM mail_preferences WHERE wanted") == 1
    path = "/api/v1/activities"
    assert (await world.http.post(path, json={}, headers=ours)).status_code == 401, (
        "cookies only read"
    )
    assert (await world.http.get(path)).status_code == 200


async def test_jobs_are_for_admins(world: World) -> None:
    ada = await world.user()
    ours = browse(world, ada)
    for path in ("/admin", "/admin/jobs", "/admin/mails", "/dev/mails"):
        assert (await world.http.get(path)).status_code == 404
    refused = await world.http.post(
        "/admin/queues", data={"queue": "low", "action": "pause"}, headers=ours
    )
    assert refused.status_code == 404
    assert await world.value("SELECT count(*) FROM paused_queues") == 0
    await world.rows("UPDATE users SET is_admin = true")
    huge = "9" * 30
    for path in (
        f"/admin/jobs?before={huge}",
        f"/admin/mails?before={huge}",
        "/admin/mails?state=%00",
        "/admin/jobs?status=none",
        f"/admin/jobs/{huge}",
    ):
        assert (await world.http.get(path)).status_code in (400, 404)


async def test_pages_show_what_is_ones_own(world: World) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    activity = await ada.log(notes="<b>mine</b>", calories=430)
    photo = await ada.post(f"/api/v1/activities/{activity['id']}/photos", content=picture())
    ours = browse(world, ada)
    page = await world.http.get(f"/activities/{activity['id']}")
    assert "&lt;b&gt;mine" in page.text
    shown = await world.http.get(f"/photos/{photo.json()['id']}")
    assert shown.headers["Content-Type"] == "image/jpeg"
    form = {
        "activity_type": "yoga",
        "activity_date": "2024-01-15T06:30",
        "duration_minutes": "30",
        "distance_km": "",
        "calories": "",
        "tags": "a, b",
        "notes": "",
    }
    await world.http.post(f"/activities/{activity['id']}", data=form, headers=ours)
    changed = (await ada.get(f"/api/v1/activities/{activity['id']}")).json()
    assert (changed["calories"], changed["distance_km"], changed["tags"]) == (None, 0, ["a", "b"])
    browse(world, eve)
    assert (await world.http.get(f"/activities/{activity['id']}")).status_code == 404
    assert (await world.http.get(f"/photos/{photo.json()['id']}")).status_code == 404


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example/x", "///evil.example"])
async def test_a_refused_form_leads_to_no_other_host(world: World, path: str) -> None:
    ada = await world.user()
    ours = browse(world, ada) | {"Referer": f"{world.settings.base_url}{path}"}
    answer = await world.http.post("/friends/requests/999/accept", data={}, headers=ours)
    location = answer.headers.get("Location", "/")
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))


async def test_behind_https_forms_and_cookies_keep_to_it(with_settings: Any) -> None:
    async with with_settings(base_url="https://activelog.test") as world:
        ada = await world.user()
        ours = browse(world, ada)
        refused = await world.http.post(
            "/sign-out", headers=ours | {"Origin": "http://activelog.test"}
        )
        assert refused.status_code == 403
        done = await world.http.post("/sign-out", headers=ours)
        assert done.status_code == 303
        assert "secure" in done.headers["Set-Cookie"].lower()
        assert "max-age=0" in done.headers["Set-Cookie"].lower()


async def test_a_form_that_is_sent_twice_acts_once(world: World) -> None:
    ada = await world.user()
    ours = browse(world, ada)
    page = (await world.http.get("/activities")).text
    key = re.search(r'name="once" value="([\w-]+)"', page)
    assert key is not None
    form = {"activity_type": "run", "duration_minutes": "30", "activity_date": "2024-01-01T06:30"}
    for _ in range(2):
        answer = await world.http.post("/activities", data=form | {"once": key[1]}, headers=ours)
        assert answer.status_code == 303
    await world.http.post("/activities", data=form | {"once": "another key"}, headers=ours)
    assert await world.value("SELECT count(*) FROM activities") == 2
    for _ in range(2):
        await world.http.post("/exports/csv", data={"once": "a key of exports"}, headers=ours)
    assert await world.value("SELECT count(*) FROM exports") == 1


async def test_saving_a_form_changes_nothing_that_was_not_changed(world: World) -> None:
    ada = await world.user()
    ours = browse(world, ada)
    for kilometres in (1234.567, 1_000_000, 0.001):
        activity = await ada.log(distance_km=kilometres)
        page = (await world.http.get(f"/activities/{activity['id']}")).text
        shown = re.search(r'name="distance_km"[^>]*value="([^"]*)"', page)
        assert shown is not None
        form = {"activity_type": "running", "duration_minutes": "45",
                "activity_date": "2024-01-15T06:30:00", "distance_km": shown[1]}  # fmt: skip
        await world.http.post(f"/activities/{activity['id']}", data=form, headers=ours)
        saved = (await ada.get(f"/api/v1/activities/{activity['id']}")).json()
        assert saved["distance_km"] == kilometres


async def test_a_filter_without_hits_is_no_beginning(world: World) -> None:
    ada = await world.user()
    browse(world, ada)
    await ada.log()
    assert "No activities like that" in (await world.http.get("/activities?tag=nothing")).text


async def test_locally_without_a_relay_the_link_is_shown(with_settings: Any) -> None:
    for base_url, host, is_shown in (
        ("http://127.0.0.1:8000", "127.0.0.1", True),
        ("http://127.0.0.1:8000", "203.0.113.7", False),
        ("https://activelog.example", "127.0.0.1", False),
    ):
        async with with_settings(base_url=base_url) as world:
            transport = httpx.ASGITransport(world.app, client=(host, 1))
            async with httpx.AsyncClient(transport=transport, base_url=base_url) as browser:
                form = {"email": f"a{is_shown}{host}@example.com", "name": "Ada"}
                for _ in range(2):  # somebody who registers again has no account yet
                    page = await browser.post(
                        "/register",
                        data=form | {"password": PASSWORD},
                        headers={"Origin": base_url},
                    )
                    assert page.status_code == 200, page.text
                    assert ("/verify-email?token=" in page.text) == is_shown


async def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(world: World) -> None:
    ada = await world.user()
    ours = browse(world, ada)
    form = {"activity_type": "run", "duration_minutes": "-5", "tags": "x" * 60, "notes": "Uphill",
            "activity_date": "2024-01-15T06:30:00", "distance_km": "7.5"}  # fmt: skip
    activity = await ada.log()
    for path in ("/activities", f"/activities/{activity['id']}"):
        for wrong, name in (({"duration_minutes": "-5"}, "duration_minutes"), ({}, "tags")):
            answer = await world.http.post(
                path, data=form | {"duration_minutes": "9"} | wrong, headers=ours
            )
            assert answer.status_code == 400
            assert f'id="wrong-{name}"' in answer.text
            assert "Uphill" in answer.text
            assert "7.5" in answer.text
            assert "[0]" not in answer.text
    assert await world.value("SELECT count(*) FROM activities") == 1


class _Forms(HTMLParser):
    """Those that are sent as such, with the fields that people type into."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str], list[str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "form":
            is_sent = said.get("method") == "post" and "data-upload" not in said
            self.found.append((said.get("action") or "" if is_sent else "", {}, []))
        elif self.found and (name := said.get("name")):
            kind = said.get("type") or "text"
            if kind == "hidden":
                self.found[-1][1][name] = said.get("value") or ""
            elif tag in ("input", "textarea") and kind != "checkbox":
                self.found[-1][2].append(f"{name}:{kind}")


PATHS = ["/activities", "/account", "/friends", "/exports", "/webhooks", "/import", "/register",
         "/sign-in", "/forgot-password", "/reset-password?token=x",
         "/verify-email?token=x"]  # fmt: skip


async def test_what_was_typed_into_any_form_stays_when_it_is_refused(world: World) -> None:
    ada = await world.user()
    ours = browse(world, ada)
    activity = await ada.log()
    seen = set()
    for path in [*PATHS, f"/activities/{activity['id']}"]:
        forms = _Forms((await world.http.get(path)).text).found
        for action, hidden, fields in forms:
            if not action or not fields:
                continue
            typed = {
                name: f'"><b>{number}' + "é" * 300
                for number, (name, _, kind) in enumerate(field.partition(":") for field in fields)
                if kind != "password"
            }
            secret = {field.partition(":")[0]: "x" for field in fields if ":password" in field}
            headers = ours | {"Referer": f"{world.settings.base_url}{path}"}
            answer = await world.http.post(action, data=hidden | typed | secret, headers=headers)
            if answer.status_code in (200, 303):
                continue  # it takes anything, such as an address to ask for friendship
            seen.add(action)
            assert answer.status_code in (400, 401, 422), (action, answer.text)
            assert 'class="wrong"' in answer.text or 'class="refused"' in answer.text, action
            for name, value in typed.items():
                assert value.replace('"', "&quot;").replace(">", "&gt;").replace("<", "&lt;") in (
                    answer.text
                ), (action, name)
    assert seen >= {"/activities", "/account", "/account/email", "/account/delete", "/webhooks",
                    "/register", "/sign-in", "/exports/csv"}  # fmt: skip


async def test_choices_and_ticks_stay_too(world: World) -> None:
    ada = await world.user()
    ours = browse(world, ada)
    form = {"name": "", "zone": "Asia/Tokyo", "units": "mi", "week_start": "sunday"}
    page = (await world.http.post("/account", data=form, headers=ours)).text
    for shown in ("<option selected>Asia/Tokyo", '"mi" selected', '"sunday" selected'):
        assert shown in page
    form = {"name": "x" * 200, "write": "on", "days": "365"}
    page = (await world.http.post("/account/tokens", data=form, headers=ours)).text
    assert '<input type="checkbox" name="write" checked>' in page
    assert '<input type="checkbox" name="read">' in page
    assert '"365" selected' in page
    assert page.count("<details open>") == 1


async def test_a_type_has_one_spelling(world: World) -> None:
    ada = await world.user()
    ours = browse(world, ada)
    await ada.log(activity_type="Trail")
    for typed in ("RUNNING", "Running ", "trail", "Парк"):
        form = {"activity_type": typed, "duration_minutes": "9",
                "activity_date": "2024-01-15T06:30:00"}  # fmt: skip
        await world.http.post("/activities", data=form, headers=ours)
    types = await world.rows("SELECT activity_type FROM activities ORDER BY id")
    assert [name for (name,) in types] == ["Trail", "running", "running", "Trail", "Парк"]
    page = (await world.http.get("/activities")).text
    assert "<option>Парк</option>" in page
    assert "<option>swim</option>" in page


async def test_hours_and_minutes_may_be_typed_and_paces_are_shown(world: World) -> None:
    ada = await world.user()
    ours = browse(world, ada)
    for kind, typed, shown in (
        ("run", "1:30", "6:00 min/km"),
        ("trail running", "1:30", "6:00 min/km"),
        ("ride", "90", "10.0 km/h"),
    ):
        form = {"activity_type": kind, "duration_minutes": typed, "distance_km": "15",
                "activity_date": "2024-01-15T06:30:00"}  # fmt: skip
        await world.http.post("/activities", data=form, headers=ours)
        found = await world.value("SELECT max(id) FROM activities WHERE duration_minutes = 90")
        assert shown in (await world.http.get(f"/activities/{found}")).text
    for typed in ("1:75", "1:", ":5", "a:b"):
        form = {"activity_type": "run", "duration_minutes": typed,
                "activity_date": "2024-01-15T06:30:00"}  # fmt: skip
        refused = await world.http.post("/activities", data=form, headers=ours)
        assert (refused.status_code, "like 1:30" in refused.text) == (400, True)
    assert await world.value("SELECT count(*) FROM activities") == 3
