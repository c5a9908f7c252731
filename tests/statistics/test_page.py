from tests.conftest import World
from tests.http.test_pages import browse


async def test_each_label_stands_under_its_own_bar(world: World) -> None:
    ada = await world.user()
    await ada.log(activity_date="2024-03-06T06:30:00Z")
    browse(world, ada)
    page = await world.http.get("/statistics?start_date=2024-01-01&end_date=2024-03-31&unit=weekly")
    axis = page.text.split('class="axis">')[1].split("</div>")[0]
    assert axis.count("<span") == page.text.count('<rect class="bar"') == 13


async def test_without_anything_lately_the_latest_days_are_shown(world: World) -> None:
    ada = await world.user()
    await ada.log(activity_date="2019-03-06T06:30:00Z", distance_km=12.5)
    browse(world, ada)
    page = await world.http.get("/statistics")
    assert "March 2019" in page.text
    assert "12.5" in page.text


async def test_a_range_that_is_too_long_keeps_the_form(world: World) -> None:
    browse(world, await world.user())
    page = await world.http.get("/statistics?start_date=1990-01-01&end_date=2024-03-31&unit=daily")
    assert page.status_code == 400
    assert 'role="alert"' in page.text
    assert 'name="start_date"' in page.text


async def test_what_others_add_to_links_breaks_no_page(world: World) -> None:
    ada = await world.user()
    browse(world, ada)
    await world.rows("UPDATE users SET is_admin = true")
    for path in ("/activities", "/statistics", "/exports", "/friends", "/reports", "/account",
                 "/admin", "/admin/jobs", "/admin/mails", "/import", "/sign-in"):  # fmt: skip
        page = await world.http.get(f"{path}?utm_source=newsletter&fbclid=1")
        assert page.status_code == 200, path
