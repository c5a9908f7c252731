"""Values that nobody means, and files that want more than their share: refused by line, or said."""

import gzip
import io
import random
import zipfile

import pytest

from activelog.base.errors import Permanent
from activelog.imports import source
from activelog.imports.model import Choices
from activelog.imports.preview import preview
from activelog.imports.source import detect
from tests.conftest import World
from tests.imports.test_evidence import NOW, minutes, read
from tests.imports.test_import import finish, upload

GOOD = "2024-01-15,07:00,45,5,run\n"
HEADER = "date,start,duration,distance,type\n"


@pytest.mark.parametrize(
    "row",
    [
        "2024-01-16,07:75,45,5,run",
        "2024-01-16,half past,45,5,run",
        "2024-01-16,07:00,1:75:00,5,run",
        "2024-01-16,07:00,45:90,5,run",
        "2024-01-16,07:00,10 miles,5,run",
        "2024-01-16,07:00,1_0,5,run",
        f"2024-01-16,07:00,{'9' * 400}:00,5,run",
        f"2024-01-16,07:00,{'9' * 400} h,5,run",
        f"2024-01-16,07:00,{'9' * 4400}',5,run",
        "2024-01-16,07:00,1e308 h,5,run",
        "2024-01-16,07:00,PT1.2.3S,5,run",
        "2024-01-16 7:5,,45,5,run",
        "16.01.2024 0730,,45,5,run",
        "16.01.2024 07:00 IST,,45,5,run",
        f"{'a' * 50_000},,45,5,run",
    ],
)
def test_one_odd_row_is_refused_by_line_and_the_others_come_in(row: str) -> None:
    good, refused, _ = read(HEADER + GOOD * 3 + row + "\n" + GOOD)
    assert [one.line for one in refused] == [5]
    assert len(good) == 4


def test_a_workout_over_the_end_of_time_harms_nobody() -> None:
    header = "date,start,end,type\n"
    good, refused, _ = read(
        header
        + "2024-01-15,07:00,08:00,run\n9999-12-31,23:00,01:00,run\n2024-01-16,07:00,10:75,run\n"
    )
    assert [row.values.duration_minutes for row in good] == [60]
    assert [one.line for one in refused] == [3, 4]


@pytest.mark.parametrize(
    ("text", "hour", "offset"),
    [
        ("15.01.2024 7 Uhr", 7, None), ("15.01.2024 19 Uhr 30", 19, None),
        ("15.01.2024 7h", 7, None), ("15.01.2024 7:00 -3", 10, -180),
        ("15.01.2024 07:00 UTC+1", 6, 60), ("15.01.2024 13:00 NZDT", 0, 780),
        ("15.01.2024 14:00 MSK", 11, 180),
    ],
)  # fmt: skip
def test_hours_and_zones_are_read_as_they_are_written(
    text: str, hour: int, offset: int | None
) -> None:
    good, refused, _ = read(f"date,duration,type\n{text},45,run\n")
    assert refused == []
    assert good[0].values.activity_date.hour == hour
    assert good[0].values.utc_offset == offset


def test_a_refused_row_says_something() -> None:
    _, [refused], _ = read("date,duration,type\n2024-01-15,-5,run\n2024-01-16,45,run\n")
    assert refused.says.startswith("2024-01-15 00:00")


def test_dates_that_contradict_each_other_are_named() -> None:
    with pytest.raises(Permanent, match="'05/26/2024' and '13/04/2024'"):
        read("date,duration,type\n13/04/2024,45,run\n05/26/2024,45,run\n")


def test_a_column_that_is_left_out_is_said() -> None:
    rows = "".join(f"2024-01-1{n},45,{n} parasangs,run\n" for n in range(5))
    _, _, source = read("date,duration,distance,type\n" + rows)
    assert any("'distance' was not read" in remark for remark in source.remarks)
    _, _, source = read("date,duration,distance km,distance mi,type\n2024-01-15,45,,5,run\n")
    assert any("'distance mi' was not read" in remark for remark in source.remarks)
    good, _, _ = read("date,duration,distance,type\n2024-01-15,45,8 Kilometer,run\n" * 1)
    assert good[0].values.distance_km == 8


def test_kilojoules_are_made_kilocalories_and_it_is_said() -> None:
    good, _, source = read("date,duration,calories (kJ),type\n2024-01-15,45,1500,run\n")
    assert good[0].values.calories == 359
    assert any("kilojoules" in remark for remark in source.remarks)


def test_what_is_in_metres_is_said() -> None:
    rows = "".join(f"2024-01-1{n},45,{7500 + n},run\n" for n in range(6))
    good, _, source = read("date,duration,distance,type\n" + rows)
    assert good[0].values.distance_km == 7.5
    assert "metres" in source.units["why"] or source.units["distance"] == "metres"


def test_tracks_with_absurd_numbers_are_read() -> None:
    lap = '<Lap StartTime="2024-01-15T07:00:00Z"><TotalTimeSeconds>{}</TotalTimeSeconds></Lap>'
    laps = lap.format("600") + lap.format("1e308") * 2
    good, _, _ = read(
        f'<TrainingCenterDatabase><Activities><Activity Sport="Running">{laps}</Activity>'
        "</Activities></TrainingCenterDatabase>"
    )
    assert [row.values.duration_minutes for row in good] == [10]


def test_a_track_in_utf_16_is_read() -> None:
    points = "".join(
        f'<trkpt lat="52.{n}" lon="13"><time>2024-01-15T07:0{n}:00Z</time></trkpt>'
        for n in range(3)
    )
    gpx = f"<gpx><trk><type>running</type><trkseg>{points}</trkseg></trk></gpx>"
    good, _, _ = read(gpx.encode("utf-16"))
    assert [row.values.duration_minutes for row in good] == [2]


def test_a_table_of_too_many_columns_is_refused() -> None:
    with pytest.raises(Permanent, match="columns"):
        read("date,duration," + "a," * 60_000 + "\n")


def test_a_look_at_a_file_ends_though_no_row_is_good() -> None:
    """Whatever is packed into it: half a million bad rows, of which the first thousand tell."""
    file = io.BytesIO(gzip.compress(b"date,duration\n2024-01-15,45\n" + b"x\n" * 3_000_000))
    detect(file, Choices())
    file.seek(0)
    assert len(preview(file, Choices(), NOW).rows) == 5


def test_a_fit_file_has_a_size() -> None:
    packed = gzip.compress(b"\x0e\x10\x00\x00\x00\x00\x00\x00.FIT" + bytes(30 * 2**20))
    with pytest.raises(Permanent, match="FIT file has more than"):
        read(packed)


@pytest.mark.parametrize("start", [b"\x0e\x10\0\0\0\0\0\0.FIT", b"<gpx><trk>"])
def test_a_packed_track_that_is_cut_off_is_damaged(start: bytes) -> None:
    packed = gzip.compress(start + random.Random(1).randbytes(20_000).hex().encode())
    with pytest.raises(Permanent, match="the packed file is damaged"):
        read(packed[:-300])


def own_zip(**more: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        head = "id,activity_type,duration_minutes,activity_date\n"
        rows = "1,run,45,2024-01-15T07:00:00Z\n2,run,45,2024-01-16T07:00:00Z\n"
        archive.writestr("activities.csv", head + rows)
        for name, text in more.items():
            archive.writestr(f"{name}.csv", text)
    return out.getvalue()


def test_details_in_another_order_find_their_rows() -> None:
    details = "activity_id,title\n2,Second\n1,First\n"
    good, _, _ = read(own_zip(activity_details=details))
    assert [row.values.title for row in good] == ["First", "Second"]


def test_details_that_are_no_text_are_cleaned() -> None:
    good, _, _ = read(own_zip(activity_details="activity_id,title\n1,a\0b\n2,x,too,many\n"))
    assert [row.values.title for row in good] == ["a b", ""]


def test_tables_of_our_archive_without_their_columns_are_refused() -> None:
    for name in ("photos", "activity_details"):
        with pytest.raises(Permanent, match="has no columns activity_id"):
            read(own_zip(**{name: "a,b\n1,2\n"}))


def test_more_photos_than_anybody_has_are_refused_and_not_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "_MOST_PHOTOS", 2)
    rows = "activity_id,file\n1,a.jpg\n1,b.jpg\n"
    assert len(read(own_zip(photos=rows))[0][0].photos) == 2
    with pytest.raises(Permanent, match="more than 2 rows"):
        read(own_zip(photos=rows + "2,c.jpg\n"))


async def test_a_zip_of_an_unknown_version_is_damaged(world: World) -> None:
    content = bytearray(own_zip())
    content[content.index(b"PK\x01\x02") + 6] = 100
    ada = await world.user()
    answer = await ada.post("/api/v1/activities/import", content=bytes(content))
    assert answer.status_code == 400
    assert "damaged" in answer.json()["message"]


async def test_a_row_that_nobody_can_mean_does_not_fail_the_import(world: World) -> None:
    ada = await world.user()
    job = await finish(
        ada, await upload(ada, HEADER + GOOD + f"2024-01-16,07:75,{'9' * 99},5,run\n")
    )
    assert job["status"] == "completed"
    assert (job["result"]["imported"], job["result"]["rejected"]) == (1, 1)


def test_minutes_are_still_minutes() -> None:
    for text in ("45", "45 min", "45 m", "45 minuten", "45 Min.", "45:00", "0:45:00", "45 мин"):
        assert minutes(f"date,duration,type\n2024-01-15,{text},run\n") == [45], text


@pytest.mark.parametrize(("start", "moment"), [
    ("07:00 EST", "2024-02-03T12:00:00Z"),
    ("07:00 -08:00", "2024-02-03T15:00:00Z"),
    ("07:00-08:00", None),
    ("2024-02-04T07:00:00-08:00", "2024-02-04T15:00:00Z"),
    ("7pm", "2024-02-03T18:00:00Z"),
    ("07:00+02:00", "2024-02-03T05:00:00Z"),
    ("07:00:00.000+0200", "2024-02-03T05:00:00Z"),
    ("07:00 MEZ", "2024-02-03T06:00:00Z"),
    ("07:00Z", "2024-02-03T07:00:00Z"),
    ("24:00", "2024-02-03T23:00:00Z"),
    ("07:00 XYZT", None),
    ("24:30", None),
    ("99:30", None),
    ("soon", None),
])  # fmt: skip
async def test_a_column_of_start_times_is_read_whole(
    world: World, start: str, moment: str | None
) -> None:
    ada = await world.user()
    text = f"Date,Start time,Duration\n2024-02-03,{start},30 min\n2024-02-05,08:00,31 min\n"
    path = "/api/v1/activities/import?zone=Europe/Berlin"
    job = (await ada.post(path, content=text.encode())).json()
    result = (await finish(ada, job))["result"]
    assert (result["imported"], result["rejected"]) == ((2, 0) if moment else (1, 1))
    if moment:
        first = (await ada.get("/api/v1/activities")).json()["activities"][-1]
        assert first["activity_date"] == moment


async def test_a_unit_that_nobody_knows_is_refused(world: World) -> None:
    ada = await world.user()
    text = (
        "Date,Type,Time,Distance,Unit\n2024-02-03,Swim,30:00,1500,ft\n2024-02-04,Run,30:00,5,km\n"
    )
    result = (await finish(ada, await upload(ada, text)))["result"]
    assert (result["imported"], result["rejected"]) == (1, 1)
    assert "'ft' is not a unit" in result["errors"][0]["reason"]


async def test_no_minutes_for_a_distance_are_doubtful(world: World) -> None:
    ada = await world.user()
    text = "Date,Duration,Distance (km),Type\n2024-02-05,0:00:00,12,running\n"
    result = (await finish(ada, await upload(ada, text)))["result"]
    assert "0 minutes" in result["doubts"][0]["reason"]


async def test_two_columns_that_disagree_are_refused(world: World) -> None:
    ada = await world.user()
    header = (
        "id,activity_type,duration_minutes,distance_km,activity_date,tags,notes,start_local\r\n"
    )
    row = "1,run,45,7.5,2024-05-{}T06:30:00Z,,,2024-05-01T08:30:00+02:00\r\n"
    for day, imported in (("11", 0), ("01", 1)):
        done = (await finish(ada, await upload(ada, header + row.format(day))))["result"]
        assert (done["imported"], done["rejected"]) == (imported, 1 - imported)


async def test_all_that_is_told_of_a_row_tells_its_own_clock(world: World) -> None:
    """A person in Berlin, a file of a place behind it."""
    ada = await world.user()
    await ada.call("PATCH", "/api/v1/users/me", json={"zone": "Europe/Berlin"})
    text = "Date,Duration,Distance (km)\n2024-02-04 21:30,30:00,50\n"
    query = "?zone=America/Los_Angeles"
    shown = await ada.post(f"/api/v1/activities/import/preview{query}", content=text.encode())
    [row] = shown.json()["rows"]
    assert (row["activity_date"], row["utc_offset"]) == ("2024-02-05T05:30:00Z", -480)
    job = (await ada.post(f"/api/v1/activities/import{query}", content=text.encode())).json()
    result = (await finish(ada, job))["result"]
    assert result["doubts"][0]["says"].startswith("2024-02-04 21:30")


async def test_what_of_a_zip_was_not_read_is_said(world: World) -> None:
    ada = await world.user()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.gpx", '<gpx><trk><type>running</type><trkseg>'
                         '<trkpt lat="1" lon="1"><time>2024-02-03T07:00:00Z</time></trkpt>'
                         '<trkpt lat="1.01" lon="1"><time>2024-02-03T07:10:00Z</time></trkpt>'
                         '</trkseg></trk></gpx>')  # fmt: skip
        archive.writestr("b.csv", "date,duration\n2024-02-04,30\n")
        archive.writestr("__MACOSX/._a.gpx", "")
    result = (await finish(ada, await upload(ada, packed.getvalue())))["result"]
    assert result["imported"] == 1
    assert result["remarks"] == ["only tracks of the ZIP were read, not b.csv"]


async def test_an_hour_that_clocks_leave_out_is_moved_as_they_are(world: World) -> None:
    ada = await world.user()
    text = "Date,Duration,Type\n2024-03-31 02:30,30:00,run\n"
    path = "/api/v1/activities/import?zone=Europe/Berlin"
    await finish(ada, (await ada.post(path, content=text.encode())).json())
    [one] = (await ada.get("/api/v1/activities")).json()["activities"]
    assert (one["activity_date"], one["utc_offset"]) == ("2024-03-31T01:30:00Z", 120)


@pytest.mark.parametrize(("date", "moment"), [
    ("05.03.2024 07:00:00+02:00", "2024-03-05T05:00:00Z"),
    ("2024/03/05 07:00-0500", "2024-03-05T12:00:00Z"),
    ("05.03.2024 07:00 MEZ", "2024-03-05T06:00:00Z"),
    ("05.03.2024 07:00 MESZ", "2024-03-05T05:00:00Z"),
])  # fmt: skip
def test_a_zone_that_is_glued_to_its_time_counts(date: str, moment: str) -> None:
    [one], _, _ = read(f"date,duration,distance,type\n{date},45,5,run\n")
    assert one.values.activity_date.isoformat() == moment.replace("Z", "+00:00")


async def test_no_distance_needs_no_unit(world: World) -> None:
    ada = await world.user()
    text = "Date,Type,Time,Distance,Unit\n2024-02-03,Yoga,30:00,0,reps\n2024-02-04,Run,30:00,5,km\n"
    assert (await finish(ada, await upload(ada, text)))["result"]["imported"] == 2


async def test_a_moving_time_that_is_too_long_is_none_and_old_ones_harm_nobody(
    world: World,
) -> None:
    ada = await world.user()
    header = (
        "activity_type,duration_minutes,distance_km,activity_date,tags,notes,moving_minutes\r\n"
    )
    await finish(ada, await upload(ada, f"{header}run,30,5,2024-05-01T06:30:00Z,,,45\r\n"))
    [one] = (await ada.get("/api/v1/activities")).json()["activities"]
    assert one["moving_minutes"] is None
    await world.rows("UPDATE activities SET moving_minutes = 45")
    changed = await ada.call("PATCH", f"/api/v1/activities/{one['id']}", json={"notes": "x"})
    assert changed.status_code == 200
