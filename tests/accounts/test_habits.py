"""Kilometres or miles, and the first day of the week: on pages, in reports and mails."""

from typing import Any

from tests.conftest import User, World
from tests.exports.test_pdf_export import report, text_of
from tests.friends.test_friends import befriend

ME = "/api/v1/users/me"
MARATHON = {"distance_km": 42.195, "duration_minutes": 200}


async def american(world: World, address: str = "ada@example.com") -> User:
    ada = await world.user(address)
    changed = await ada.call("PATCH", ME, json={"units": "mi", "week_start": "sunday"})
    assert (changed.json()["units"], changed.json()["week_start"]) == ("mi", "sunday")
    return ada


async def page(user: User, path: str, **form: Any) -> str:
    user.world.http.cookies.set("activelog_session", user.headers["Authorization"].split()[1])
    headers = {"Origin": user.world.settings.base_url}
    method = "POST" if form else "GET"
    answer = await user.world.http.request(method, path, data=form or None, headers=headers)
    return answer.text


async def test_other_units_are_refused(world: World) -> None:
    ada = await world.user()
    for fields in ({"units": "ly"}, {"week_start": "friday"}):
        assert (await ada.call("PATCH", ME, json=fields)).status_code == 400
    assert (await ada.get(ME)).json()["units"] == "km"


async def test_pages_show_and_take_miles_and_the_api_kilometres(world: World) -> None:
    ada = await american(world)
    activity = await ada.log(**MARATHON)
    assert activity["distance_km"] == 42.195
    shown = await page(ada, "/activities")
    assert "26.22" in shown
    assert "42.2" not in shown
    path = f"/activities/{activity['id']}"
    edit = await page(ada, path)
    assert 'value="26.219"' in edit
    form = {"activity_type": "run", "activity_date": "2024-01-15T06:30:00", "duration_minutes": "9"}
    await page(ada, path, **form, distance_mi="26.219")
    assert await world.value("SELECT distance_km FROM activities") == 42.195, "nothing was changed"
    await page(ada, path, **form, distance_mi="10")
    assert await world.value("SELECT distance_km FROM activities") == 16.093
    await page(ada, path, **form, distance_mi="")
    assert await world.value("SELECT distance_km FROM activities") == 0


async def test_reports_are_in_miles(world: World) -> None:
    ada = await american(world)
    await ada.log(**MARATHON)
    text = text_of(await report(ada, month="2024-01"))
    assert "26.2 mi" in text
    assert "26.22" in text
    assert "km" not in text


async def test_mails_are_in_the_units_of_whoever_gets_them(world: World) -> None:
    ada, bob = await american(world), await world.user("bob@example.com")
    await befriend(ada, bob)
    for runner in (ada, bob):
        await runner.log(**MARATHON)
    await world.work()
    await world.make_due()
    await world.work()
    for reader, said in ((ada, "26.2 mi"), (bob, "42.2 km")):
        told = world.mails(reader.address)[-1]
        assert said in told.get_body(("plain",)).get_content()
        assert said in told.get_body(("html",)).get_content()


async def test_weeks_of_pages_begin_on_sunday(world: World) -> None:
    ada = await american(world)
    await ada.log(activity_date="2024-01-14T12:00:00Z")  # a Sunday
    asked = "/statistics?unit=weekly&start_date=2024-01-14&end_date=2024-01-20"
    assert "14 January 2024 – 20 January 2024" in await page(ada, asked)
    stats = await ada.get("/api/v1/stats/weekly?start_date=2024-01-14&end_date=2024-01-14")
    assert stats.json()["stats"][0]["start_date"] == "2024-01-08", "the API keeps to Mondays"
