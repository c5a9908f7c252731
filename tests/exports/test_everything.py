import json
import zipfile
from io import BytesIO

import jsonschema
import pytest

from tests.conftest import World
from tests.exports.test_csv_export import download
from tests.imports.test_import import finish
from tests.retention.test_nightly import add_photo


@pytest.mark.slow
async def test_all_that_is_somebodys_in_one_zip(world: World) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    await add_photo(ada)
    await ada.log(notes="=1+1", activity_date="2024-02-15T06:00:00Z")
    await eve.log(notes="eve's")
    await eve.post("/api/v1/friends/requests", json={"email": ada.address})
    await world.jobs_defer("activelog.reports.monthly", day="2024-03-01")
    await world.work()
    accepted = await ada.post("/api/v1/users/me/export")
    assert accepted.status_code == 202
    status = await finish(ada, accepted.json())
    assert status["result"]["record_count"] == 2
    with zipfile.ZipFile(BytesIO(await download(ada, status))) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        rows = archive.read("activities.csv").decode()
        profile = archive.read("profile.csv").decode()
        details = archive.read("activity_details.csv").decode().splitlines()
        requests = archive.read("friend_requests.csv").decode()
        listed = json.loads(archive.read("activities.json"))
        jsonschema.validate(listed, json.loads(archive.read("activities.schema.json")))
    assert listed == (await ada.get("/api/v1/activities")).json()["activities"]
    assert "reports/2024-02.pdf" in names
    assert sum(name.startswith("photos/") for name in names) == 1
    assert {"blocks.csv", "friends.csv", "mails.csv", "notifications.csv"} <= set(names)
    assert (
        details[0]
        == "activity_id,title,calories,moving_minutes,utc_offset,source,created_at,updated_at"
    )
    assert len(details) == 3
    assert "\nreceived,Ada,pending," in requests
    assert ",'=1+1\r\n" in rows
    assert "eve's" not in rows
    assert ada.address in profile
    assert "none" not in profile, "a password's hash is nobody's data to carry around"
