"""What one person may keep, and what the limit says."""

from typing import Any

from activelog.base.settings import Quotas
from tests.activities.test_photos import picture
from tests.conftest import World
from tests.exports.test_csv_export import request
from tests.imports.test_import import HEADER, finish, upload


def limited(with_settings: Any, **quotas: int) -> Any:
    return with_settings(quotas=Quotas(**quotas))


async def test_so_many_activities_and_no_more(with_settings: Any) -> None:
    async with limited(with_settings, activities=3) as world:
        ada, bob = await world.user(), await world.user("bob@example.com")
        first, _, _ = [await ada.log() for _ in range(3)]
        body = {"activity_type": "run", "duration_minutes": 1}
        body |= {"activity_date": "2024-01-01T00:00:00Z"}
        refused = await ada.post("/api/v1/activities", json=body)
        assert (refused.status_code, refused.json()["error"]) == (409, "quota exceeded")
        assert "delete" in refused.json()["message"]
        await bob.log()
        await ada.call("DELETE", f"/api/v1/activities/{first['id']}")
        await ada.log()


async def test_an_import_that_is_too_large_changes_nothing(with_settings: Any) -> None:
    async with limited(with_settings, activities=3) as world:
        ada = await world.user()
        text = HEADER + "".join(f"{n},ride,1,1,2024-01-01T{n:02}:00:00Z,,\r\n" for n in range(4))
        status = await finish(ada, await upload(ada, text))
        assert status["status"] == "failed"
        assert "delete" in status["error"]
        assert await world.value("SELECT count(*) FROM activities") == 0


async def test_so_many_imports_a_day(with_settings: Any) -> None:
    async with limited(with_settings, imports_per_day=1) as world:
        ada = await world.user()
        text = HEADER + "1,ride,1,1,2024-01-01T00:00:00Z,,\r\n"
        await upload(ada, text)
        refused = await ada.post("/api/v1/activities/import", content=text.encode())
        assert refused.status_code == 409
        assert "tomorrow" in refused.json()["message"]


async def test_exports_and_photos_have_their_room(with_settings: Any) -> None:
    async with limited(with_settings, export_mb=1, photo_mb=1) as world:
        ada = await world.user()
        activity = await ada.log()
        await finish(ada, await request(ada))
        waiting = await request(ada)
        await world.rows(
            "UPDATE job_tickets SET result = result || '{\"file_size\": 1000000}'"
            " WHERE completed_at IS NOT NULL"
        )
        refused = await ada.post("/api/v1/activities/export/csv", json={})
        assert refused.status_code == 409
        assert "1 MB" in refused.json()["message"]
        assert (await finish(ada, waiting))["status"] == "failed"
        path = f"/api/v1/activities/{activity['id']}/photos"
        assert (await ada.post(path, content=picture())).status_code == 201
        await world.rows("UPDATE photos SET size = 1000000")
        assert (await ada.post(path, content=picture())).status_code == 409


async def test_the_account_page_shows_the_room(world: World) -> None:
    ada = await world.user()
    await ada.log()
    token = ada.headers["Authorization"].split()[1]
    world.http.cookies.set("activelog_session", token)
    page = await world.http.get("/account")
    assert "1,000,000" in page.text
    assert "5,000 MB" in page.text


async def test_metrics_want_their_token(with_settings: Any) -> None:
    async with with_settings(metrics_token="a token for prometheus") as world:
        assert (await world.http.get("/metrics")).status_code == 401
        headers = {"Authorization": "Bearer a token for prometheus"}
        assert (await world.http.get("/metrics", headers=headers)).status_code == 200


async def test_behind_https_every_answer_says_to_stay_there(with_settings: Any) -> None:
    async with with_settings(base_url="https://activelog.test") as world:
        for path in ("/healthz", "/nowhere", "/api/v1/users/me"):
            answer = await world.http.get(path)
            assert "max-age" in answer.headers["Strict-Transport-Security"]


async def test_clients_of_the_api_get_json_whatever_they_accept(world: World) -> None:
    answer = await world.http.get("/api/v1/users/me", headers={"Accept": "text/html"})
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
