import asyncio
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from activelog.base.pictures import NotAPicture, clean_picture
from tests.conftest import World
from tests.exports.test_csv_export import download
from tests.imports.test_import import finish

LONDON = {1: "N", 2: (51.0, 30.0, 0.0), 3: "W", 4: (0.0, 7.0, 0.0)}


def picture(kind: str = "JPEG", size: tuple[int, int] = (4000, 1000), exif: bool = True) -> bytes:
    image = Image.new("RGB", size, "orange")
    out = BytesIO()
    data = Image.Exif()
    if exif:
        data[0x0112] = 6  # turned by 90°
        data.get_ifd(0x8825).update(LONDON)
    told = {"comment": b"taken at home", "xmp": b"<x>taken at home</x>"} if exif else {}
    image.save(out, kind, exif=data, **told)
    return out.getvalue()


async def test_a_photo_is_upright_smaller_and_tells_no_place(world: World, tmp_path: Path) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    activity = await ada.log()
    path = f"/api/v1/activities/{activity['id']}/photos"
    added = await ada.post(path, content=picture())
    assert added.status_code == 201, added.text
    assert (added.json()["width"], added.json()["height"]) == (512, 2048)
    shown = await ada.get(added.headers["Location"])
    file = await world.http.get(shown.headers["Location"])
    with Image.open(BytesIO(file.content)) as image:
        assert image.format == "JPEG"
        assert not image.getexif()
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert b"at home" in picture()
    assert b"at home" not in file.content
    assert [photo["id"] for photo in (await ada.get(path)).json()["photos"]] == [added.json()["id"]]
    assert (await eve.get(path)).status_code == 404
    assert (await eve.post(path, content=picture())).status_code == 404
    assert (await eve.call("DELETE", added.headers["Location"])).status_code == 404
    assert (await ada.call("DELETE", added.headers["Location"])).status_code == 204
    assert (await ada.call("DELETE", added.headers["Location"])).status_code == 404
    assert list((tmp_path / "objects").rglob("*.jpg")) == []


async def test_sixteen_bits_of_grey_stay_grey(world: World) -> None:
    ada = await world.user()
    out = BytesIO()
    Image.new("I;16", (20, 10), 40_000).save(out, "PNG")
    path = f"/api/v1/activities/{(await ada.log())['id']}/photos"
    added = await ada.post(path, content=out.getvalue())
    shown = await ada.get(added.headers["Location"])
    file = await world.http.get(shown.headers["Location"])
    with Image.open(BytesIO(file.content)) as image:
        assert image.convert("L").getpixel((5, 5)) == pytest.approx(40_000 / 256, abs=3)


async def test_a_photo_goes_with_its_activity(world: World) -> None:
    ada = await world.user()
    activity = (await ada.log())["id"]
    added = await ada.post(f"/api/v1/activities/{activity}/photos", content=picture())
    await ada.call("DELETE", f"/api/v1/activities/{activity}")
    assert (await ada.get(added.headers["Location"])).status_code == 404


async def test_what_is_no_picture_is_refused(world: World) -> None:
    ada = await world.user()
    path = f"/api/v1/activities/{(await ada.log())['id']}/photos"
    for content in (b"", b"<svg/>", picture()[:100], b"GIF89a" + b"\0" * 100):
        refused = await ada.post(path, content=content)
        assert refused.status_code == 400
        assert "picture" in refused.json()["message"]
    for _ in range(10):
        small = picture("PNG", (20, 10), exif=False)
        assert (await ada.post(path, content=small)).status_code == 201
    assert (await ada.post(path, content=small)).status_code == 409


async def test_ten_photos_are_the_most_also_at_once(world: World) -> None:
    ada = await world.user()
    path = f"/api/v1/activities/{(await ada.log())['id']}/photos"
    small = picture("PNG", (20, 10), exif=False)
    answers = await asyncio.gather(*(ada.post(path, content=small) for _ in range(14)))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 4
    assert await world.value("SELECT count(*) FROM photos") == 10


@pytest.mark.slow
async def test_a_report_shows_photos_when_asked(world: World) -> None:
    ada = await world.user()
    activity = await ada.log()
    await ada.post(f"/api/v1/activities/{activity['id']}/photos", content=picture())
    sizes = []
    for include in (False, True):
        body = {"month": "2024-01", "include_photos": include}
        accepted = await ada.post("/api/v1/activities/export/pdf", json=body)
        content = await download(ada, await finish(ada, accepted.json()))
        sizes.append(content.count(b"/Subtype /Image"))
    assert sizes == [0, 1]


def test_a_picture_of_very_many_scans_is_refused_before_it_is_decoded() -> None:
    """A progressive JPEG repeats scans that cost as much as the picture and take a few bytes."""
    with pytest.raises(NotAPicture, match="scans"):
        clean_picture(picture() + b"\xff\xda" * 6000, 2048)


def test_a_png_of_very_many_pixels_is_refused_before_it_is_decoded() -> None:
    data = BytesIO()
    Image.new("L", (7000, 6000)).save(data, "PNG")
    with pytest.raises(NotAPicture, match="pixels"):
        clean_picture(data.getvalue(), 2048)


async def test_a_picture_that_takes_too_long_is_a_bad_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelog.activities.photos.LONGEST_DECODING", 0.0)
    ada = await world.user()
    activity = await ada.log()
    refused = await ada.post(f"/api/v1/activities/{activity['id']}/photos", content=picture())
    assert refused.status_code == 400
    assert "longer than" in refused.json()["message"]
