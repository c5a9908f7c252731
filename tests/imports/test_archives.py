"""Archives with photos: Strava's, and our own from another ActiveLog."""

import io
import zipfile

from tests.activities.test_photos import picture
from tests.conftest import World
from tests.exports.test_csv_export import download
from tests.imports.test_import import finish

STRAVA = (
    "Activity ID,Activity Date,Activity Name,Activity Type,Activity Description,Elapsed Time,"
    "Distance,Media\n"
    '1,"Jan 15, 2024, 6:30:00 AM",A,Run,,1800,5,media/a.jpg|media/film.mp4|media/b.png\n'
    '2,"Jan 16, 2024, 6:30:00 AM",B,Run,,1800,6,media/broken.jpg\n'
)


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


async def test_strava_brings_its_photos(world: World) -> None:
    ada = await world.user()
    files = {"export/activities.csv": STRAVA.encode(), "export/media/a.jpg": picture(),
             "export/media/b.png": picture("PNG", exif=False), "export/media/broken.jpg": b"x",
             "export/media/film.mp4": b"film"}  # fmt: skip
    job = (await ada.post("/api/v1/activities/import", content=packed(files))).json()
    result = (await finish(ada, job))["result"]
    assert (result["format"], result["imported"], result["photos"]) == ("strava", 2, 2)
    assert any("broken.jpg was left out" in remark for remark in result["remarks"])
    [row] = await world.rows(
        "SELECT a.title, count(*) FROM photos p JOIN activities a ON a.id = p.activity_id"
        " GROUP BY 1"
    )
    assert row == ("A", 2)
    again = (await ada.post("/api/v1/activities/import", content=packed(files))).json()
    assert (await finish(ada, again))["result"]["photos"] == 0


async def test_moving_house_with_the_zip_of_everything(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    for day in (3, 1, 2):
        await ada.log(
            activity_date=f"2024-01-0{day}T06:30:00+05:30", tags=["a", "b"], notes="=x\nline two",
            calories=100 * day, distance_km=day + 0.125, title=f"=Day {day}",
            moving_minutes=40 + day,
        )  # fmt: skip
    second = (await ada.get("/api/v1/activities")).json()["activities"][1]
    await ada.post(f"/api/v1/activities/{second['id']}/photos", content=picture())
    job = (await ada.post("/api/v1/users/me/export", json={})).json()
    everything = await download(ada, await finish(ada, job))
    moved = (await bob.post("/api/v1/activities/import", content=everything)).json()
    result = (await finish(bob, moved))["result"]
    assert (result["imported"], result["photos"]) == (3, 1)
    assert "errors" not in result
    kept = (
        "SELECT a.activity_date, a.activity_type, a.duration_minutes, a.distance_km, a.tags,"
        " a.notes, a.calories, a.title, a.moving_minutes, a.utc_offset,"
        " (SELECT count(*) FROM photos p WHERE p.activity_id = a.id)"
        " FROM activities a WHERE a.user_id = %s ORDER BY 1"
    )
    assert await world.rows(kept, ada.id) == await world.rows(kept, bob.id)


async def test_a_dry_run_stores_no_photo(world: World, tmp_path: object) -> None:
    ada = await world.user()
    files = {"activities.csv": STRAVA.encode(), "media/a.jpg": picture()}
    path = "/api/v1/activities/import?dry_run=true"
    await finish(ada, (await ada.post(path, content=packed(files))).json())
    assert await world.value("SELECT count(*) FROM photos") == 0
    assert [one async for page in world.services.storage.walk("photos/", 10) for one in page] == []
