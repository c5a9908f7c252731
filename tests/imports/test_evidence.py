"""Units, dates, marks and columns that no header says: the rows tell, or the report asks."""

import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from activelog.base.errors import Permanent
from activelog.imports.cells import number, seconds_of
from activelog.imports.kinds import activity_kind
from activelog.imports.model import Choices, Found, Question, Refused
from activelog.imports.source import Source, open_source

NOW = datetime(2026, 6, 1, tzinfo=UTC)
GARMIN = "Activity Type,Date,Favorite,Title,Distance,Calories,Time,Avg Pace,Avg Stride Length,Avg Run Cadence"  # noqa: E501


def read(content: str | bytes, **said: Any) -> tuple[list[Found], list[Refused], Source]:
    file = io.BytesIO(content.encode() if isinstance(content, str) else content)
    with open_source(file, msgspec.convert(said, Choices), NOW) as source:
        rows = list(source.rows)
    good = [row for row in rows if isinstance(row, Found)]
    return good, [row for row in rows if isinstance(row, Refused)], source


def kilometres(content: str | bytes, **said: Any) -> list[float]:
    return [row.values.distance_km for row in read(content, **said)[0]]


def minutes(content: str | bytes, **said: Any) -> list[int]:
    return [row.values.duration_minutes for row in read(content, **said)[0]]


def garmin(*rows: str) -> str:
    return "\n".join((GARMIN, *rows)) + "\n"


MILES = "Running,2025-09-27 10:21:20,false,Park,10.00,900,01:20:00,8:00,1.21,166"
KM = "Running,2025-09-27 10:21:20,false,Park,10.00,900,00:50:00,5:00,1.21,166"


def test_stride_and_cadence_tell_miles_from_kilometres() -> None:
    assert kilometres(garmin(MILES)) == [16.093]
    assert kilometres(garmin(KM)) == [10]
    _, _, source = read(garmin(MILES))
    assert source.units["distance"] == "miles"
    assert "line 2" in source.units["why"]


def test_a_person_may_overrule_the_evidence() -> None:
    assert kilometres(garmin(MILES), units="km") == [10]
    assert kilometres(garmin(KM), units="mi") == [16.093]


def test_split_evidence_is_a_question() -> None:
    with pytest.raises(Question, match="units=km or units=mi"):
        read(garmin(MILES, KM))
    assert kilometres(garmin(MILES, KM), units="km") == [10, 10]


def test_without_evidence_the_report_says_what_was_assumed() -> None:
    text = garmin("Cycling,2025-09-27 10:21:20,false,Ride,30.00,900,01:20:00,--,--,--")
    good, _, source = read(text)
    assert good[0].values.distance_km == 30
    assert any("units=mi" in remark for remark in source.remarks)


def test_rows_that_count_in_metres_are_known_by_their_pace() -> None:
    track = 'Track Running,2025-09-26 10:00:00,false,Track,"5,000",300,00:20:00,4:00,1.5,170'
    indoor = "Indoor Track,2025-09-25 10:00:00,false,Track,400,30,00:01:36,4:00,--,--"
    swim = 'Pool Swim,2025-09-24 10:00:00,false,Pool,"1,500",300,00:30:00,2:00,--,--'
    assert kilometres(garmin(KM, track, indoor, swim)) == [10, 5, 0.4, 1.5]


def test_pools_of_an_account_in_miles_are_yards() -> None:
    swim = 'Pool Swim,2025-09-24 10:00:00,false,Pool,"1,000",300,00:20:00,2:00,--,--'
    assert kilometres(garmin(MILES, swim)) == [16.093, 0.914]


@pytest.mark.parametrize(
    ("row", "doubt"),
    [
        ("Running,2025-09-27 10:21:20,false,Park,100.00,900,01:00:00,--,--,--", "km/h"),
        ("Running,2031-09-27 10:21:20,false,Park,10.00,900,01:00:00,--,--,--", "future"),
        ("Running,1902-09-27 10:21:20,false,Park,10.00,900,01:00:00,--,--,--", "before"),
        ("Running,2025-09-27 10:21:20,false,Park,10.00,900,,--,--,--", "no duration"),
    ],
)
def test_what_nobody_does_is_doubtful(row: str, doubt: str) -> None:
    good, _, _ = read(garmin(KM, row))
    assert good[0].doubts == ()
    assert doubt in good[1].doubts[0]


def test_titles_with_quotes_that_nobody_escaped() -> None:
    row = 'Running,2025-10-15 17:45:23,false,"8km + 10x20"/40" + 2km","12.19","594","01:00:53","4:59","1.2","166"'  # noqa: E501
    good, refused, _ = read(garmin(row, KM))
    assert not refused
    assert good[0].values.title == '8km + 10x20"/40" + 2km'


def test_garmin_in_a_language_that_we_do_not_know() -> None:
    text = "Tipas,Diena,Mėgst.,Pav.,Atst.,Kal.,Trukmė\nBėgimas,2024-05-03 07:00:00,false,Rytas,5.10,300,00:30:00\n"  # noqa: E501
    good, _, source = read(text)
    assert source.name == "garmin"
    assert (good[0].values.distance_km, good[0].values.duration_minutes) == (5.1, 30)


OWN = "id,activity_type,duration_minutes,distance_km,activity_date,tags,notes\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("mark", [";", "\t"])
def test_our_export_saved_again_by_a_spreadsheet(encoding: str, mark: str) -> None:
    text = OWN.replace(",", mark) + mark.join(
        ["1", "running", "45", "7,125", "15.01.2024 06:30", "", "Über den Fluss", "", "\r\n"]
    )
    good, refused, source = read(text.encode(encoding))
    assert not refused
    assert source.name == "activelog"
    values = good[0].values
    assert (values.distance_km, values.notes) == (7.125, "Über den Fluss")
    assert values.activity_date == datetime(2024, 1, 15, 6, 30, tzinfo=UTC)


def test_a_line_that_names_the_separator() -> None:
    assert minutes("sep=;\r\nDatum;Dauer;km\r\n31.01.2024;0:45:00;7,5\r\n") == [45]


def test_control_characters_in_notes_survive() -> None:
    good, _, _ = read(OWN + "1,yoga,30,0,2024-01-14T18:00:00Z,,a\x07b\r\n")
    assert good[0].values.notes == "a\x07b"


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (("01/02/2024", "13/02/2024"), ["2024-02-01", "2024-02-13"]),
        (("01/02/2024", "01/13/2024"), ["2024-01-02", "2024-01-13"]),
        (("22-05-24", "23-05-24", "01-06-24"), ["2024-05-22", "2024-05-23", "2024-06-01"]),
        (("05.03.2024", "04.03.2024"), ["2024-03-05", "2024-03-04"]),
        (("4.6.2018.", "5.6.2018."), ["2018-06-04", "2018-06-05"]),
        (("2-May-17", "3-May-17"), ["2017-05-02", "2017-05-03"]),
        (("Jan. 25, 2017", "Jan. 26, 2017"), ["2017-01-25", "2017-01-26"]),
        (("1514883600", "1514883600000"), ["2018-01-02", "2018-01-02"]),
        (("11 lis 2023, 13:05", "12 gru 2023, 13:05"), ["2023-11-11", "2023-12-12"]),
        (("11 Nis 2026, 13:05",), ["2026-04-11"]),
        (("22 мая 2024 г., 07:30:00",), ["2024-05-22"]),
        (("2024. 1. 15. 오전 6:30:00",), ["2024-01-15"]),
    ],
)
def test_all_dates_of_a_column_tell_their_order(
    dates: tuple[str, ...], expected: list[str]
) -> None:
    rows = "".join(f'"{date}",30:00\n' for date in dates)
    good, refused, _ = read("Date,Duration\n" + rows)
    assert not refused
    assert [f"{row.values.activity_date:%Y-%m-%d}" for row in good] == expected


def test_dates_that_may_be_read_in_two_ways_are_a_question() -> None:
    text = "Date,Duration\n03/04/2024,30:00\n"
    with pytest.raises(Question, match="dates=dmy"):
        read(text)
    assert read(text, dates="mdy")[0][0].values.activity_date.month == 3
    assert read(text, dates="dmy")[0][0].values.activity_date.month == 4


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("Date,Duration", "2024-01-02,1h 6min", 66),
        ("Date,Duration", "2024-01-02,PT1H30M", 90),
        ("Date,Duration (sec)", "2024-01-02,1800", 30),
        ("Date,Hours", "2024-01-02,2.5", 150),
        ("Date,Time,Distance (km)", "2024-01-02,43:00,8", 43),
        ("Date,Time,Distance (km)", "2024-01-02,1:30,15", 90),
        ("Date,Duration,km", "2024-01-02,2.5,25", 150),
        ("Date,Duration,km", "2024-01-02,1800,5", 30),
        ("Date,Start,End", "2024-01-02,23:30,00:20", 50),
    ],
)
def test_durations_of_all_forms(header: str, row: str, expected: int) -> None:
    assert minutes(f"{header}\n{row}\n") == [expected]


def test_a_column_that_says_the_unit() -> None:
    assert kilometres("Date,Duration,Distance (mi)\n2024-01-02,30:00,10\n") == [16.093]
    assert kilometres("Date,Duration,distance_m\n2024-01-02,30:00,5000\n") == [5]
    assert kilometres("Date,Duration,Distance,Pace (min/mi)\n2024-01-02,80:00,10,8:00\n") == [
        16.093
    ]


def test_strava_trimmed_by_hand_goes_by_its_names() -> None:
    header = "Activity ID,Activity Date,Activity Type,Moving Time,Distance,Average Speed"
    row = '1,"Nov 17, 2018, 2:32:10 AM",Ride,3600,20123.0,5.59'
    good, _, _ = read(f"{header}\n{row}\n")
    assert (good[0].values.distance_km, good[0].values.duration_minutes) == (20.123, 60)


def test_columns_may_be_said() -> None:
    text = 'Wann,Wieviel,Strecke\n31.12.2023,45:00,"10,5"\n'
    said = "date=Wann,duration=Wieviel,distance=Strecke"
    assert kilometres(text, columns=said) == [10.5]
    with pytest.raises(Permanent, match="no column 'Nirgends'"):
        read(text, columns="date=Nirgends")
    with pytest.raises(Permanent, match="say which column is what"):
        read("A,B\n1,2\n")


def test_rest_days_are_refused_with_that_reason() -> None:
    good, refused, _ = read("Date,Duration,km,Notes\n2024-01-02,30:00,5,\n2024-01-03,,,rest\n")
    assert len(good) == 1
    assert refused[0].reason == "has neither a duration nor a distance"
    assert "rest" in refused[0].says


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hardloopsessie", "running"), ("Lopning", "running"), ("Löpning", "running"),
        ("Trail Running", "running"), ("Laufbandtraining", "running"), ("Corrida", "running"),
        ("Course à pied", "running"), ("Vélo", "ride"), ("Hike", "hike"), ("Nuoto", "swim"),
        ("跑步", "running"), ("Бег", "running"), ("Padel", "padel"), ("E-Bike Ride", "ride"),
        ("Rowing", "rowing"), ("Stand Up Paddling", "stand up paddling"),
    ],
)  # fmt: skip
def test_types_of_many_languages(text: str, expected: str) -> None:
    assert activity_kind(text) == expected


def test_numbers() -> None:
    assert [number(text) for text in ("1,035", "4,73", "1.234,5", "1,234.5", "1 234", "--")] == [
        1035, 4.73, 1234.5, 1234.5, 1234, None,
    ]  # fmt: skip
    assert number("5,000", comma=True) == 5
    assert number("5,000", comma=False) == 5000
    assert seconds_of("00:45:00.5") == 2700.5


BOMB = """<?xml version="1.0"?><!DOCTYPE gpx [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>
<gpx><trk><name>&b;</name></trk></gpx>"""


def test_xml_with_entities_is_refused() -> None:
    with pytest.raises(Permanent, match="entities"):
        read(BOMB)


def test_a_track_that_is_cut_off_is_said() -> None:
    text = "<gpx><trk><trkseg><trkpt lat='1' lon='1'><time>2024-01-01T00:00:00Z</time></trkpt>"
    with pytest.raises(Permanent, match="no XML"):
        read(text)


def packed(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return out.getvalue()


GPX = """<gpx xmlns="x"><trk><name>A</name><type>9</type><trkseg>
<trkpt lat="47" lon="8"><time>2024-01-01T10:00:00Z</time></trkpt>
<trkpt lat="47.009" lon="8"><time>2024-01-01T10:05:00Z</time></trkpt></trkseg></trk></gpx>"""


def test_a_zip_gives_its_table_and_else_its_tracks() -> None:
    table = OWN + "1,yoga,30,0,2024-01-14T18:00:00Z,,\n"
    good, _, source = read(packed(export__activities_csv=table, export__a_gpx=GPX))
    assert (source.name, len(good)) == ("activelog", 1)
    good, refused, source = read(packed(a_gpx=GPX, b_gpx="<gpx", c_txt="x"))
    assert (source.name, len(good), len(refused)) == ("tracks", 1, 1)
    assert good[0].values.activity_type == "running"
    assert good[0].values.distance_km == pytest.approx(1.001, abs=0.002)
    assert refused[0].says == "b.gpx"
    with pytest.raises(Permanent, match="neither"):
        read(packed(a_txt="x"))


def test_months_are_those_of_cldr() -> None:
    pytest.importorskip("babel", reason="Babel is not installed: pip install -e '.[test]'")
    from tests import months

    assert json.loads(months.FILE.read_text("utf-8")) == months.table()


def test_a_broken_fix_is_no_way() -> None:
    text = GPX.replace("</trkseg>", '<trkpt lat="0" lon="0"><time>2024-01-01T10:05:01Z</time>'
                       '</trkpt><trkpt lat="47.009" lon="8"><time>2024-01-01T10:06:00Z</time>'
                       "</trkpt></trkseg>")  # fmt: skip
    good, _, _ = read(text)
    assert good[0].values.distance_km == pytest.approx(1.001, abs=0.002)
    assert "jumps" in good[0].doubts[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Date,Time,Duration,Miles\n2024-05-22,6:30,45:00,5\n", 45),
        ("Date,Time,Elapsed Time,Km\n2024-05-22,06:30,45:00,8\n", 45),
        ("Datum;Zeit;Dauer;km\n22.05.2024;06:30;0:45:00;8\n", 45),
        ("Date,Type,Distance (m),Time\n2024-05-22,Run,5000,25:00\n", 25),
        ("Date,Type,Distance,Time\n2024-05-22,Row,5000,20:30\n", 20),
        ("Date,Type,Distance,Duration\n2024-05-22,Walk,2100,1800\n", 30),
        ("Date,Sport,Hours,Minutes,Seconds,Distance (km)\n2024-05-13,Run,1,10,30,12\n", 70),
        ("Date,Activity,Duration (h:mm)\n2024-05-22,Yoga,1:30\n", 90),
        ("Date,Activity,Duration\n2024-05-22,Gym,1.5\n", 90),
        ("Date,Activity,Duration\n2024-05-22,Gym,3600\n", 60),
        ("Date,Type,Km,Duration\n2024-05-22,Ride,30,1h30\n", 90),
        ("Date,Km,Duration\n2024-05-22,8,43:10:00\n", 43),
        ("Date,Km,Duration\n2024-05-22,10,0.0347222\n", 50),
        ("Date,Km,Duration\n2024-05-22,8,45'30\"\n", 46),
        ("Date,Distance (km),Pace (min/mi)\n2024-05-22,10,8:03\n", 50),
        ("Date,Distance,Pace\n2024-05-22,10,05:12:00\n", 52),
    ],
)
def test_durations_are_those_that_people_have(text: str, expected: int) -> None:
    good, refused, _ = read(text)
    assert not refused
    assert good[0].values.duration_minutes in (expected, expected + 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Date,Duration,Distance\n2024-05-22,60:00,6.2 mi\n", 9.978),
        ("Date,Duration,Distance (Miles)\n2024-05-22,60:00,10 km\n", 10),
        ("Date,Type,Duration,Distance\n2024-05-22,Rowing,10:00,2000m\n", 2),
        ("Date,Duration,Distance\n2024-05-22,60:00,10k\n", 10),
        ("Date,Duration,Distance,Distance Unit\n2024-05-22,30:00,2,mi\n", 3.219),
        (
            'Date,Type,Km,Duration\n2024-05-22,Ride,"7,5",0:20:00\n2024-05-23,Ride,20.5,1:10:00\n',
            7.5,
        ),
        ("Date,Distance (km),Duration,Pace\n2024-05-22,10.1,50:00,05:00:00\n", 10.1),
    ],
)
def test_distances_in_the_unit_that_they_say(text: str, expected: float) -> None:
    assert kilometres(text)[0] == expected
    if "Miles" not in text and "km)" in text:
        assert kilometres(text, units="mi")[0] == expected  # the header has said it


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Jan 5, 2025 5:04 PM UTC", "2025-01-05 17:04"),
        ("Jan 5, 2025 5:04 PM EST", "2025-01-05 22:04"),
        ("Jan 5, 2025 5:04 PM -0500", "2025-01-05 22:04"),
        ("2025-01-05 06:10 (PST)", "2025-01-05 14:10"),
        ("Sun Jan 5 2025 10:00:00 GMT+0200 (CEST)", "2025-01-05 08:00"),
        ("12 Mar 2021", "2021-03-12 00:00"),
        ("2024-05-23 7h05", "2024-05-23 07:05"),
    ],
)
def test_moments_with_halves_and_zones(date: str, expected: str) -> None:
    good, refused, _ = read(f'Date,Duration\n"{date}",30:00\n')
    assert not refused
    assert f"{good[0].values.activity_date.astimezone(UTC):%Y-%m-%d %H:%M}" == expected


def test_the_date_beats_other_dates() -> None:
    good, _, _ = read("Created,Date,Duration,Km\n2026-01-01,2024-05-22,45:00,8\n")
    assert good[0].values.activity_date.year == 2024


def test_durations_that_nothing_tells_are_a_question() -> None:
    with pytest.raises(Question, match="h:mm"):
        read("Date,Activity,Duration\n2024-05-22,Yoga,1:30\n")


def test_what_is_slower_than_anybody_is_doubtful() -> None:
    good, _, _ = read("Date,Type,Km,Duration\n2024-05-22,Run,5,12:00:30\n")
    assert "slower" in good[0].doubts[0]


def test_sets_of_one_day_add_up_and_runs_are_no_exercises() -> None:
    sets = "Date,Exercise,Category,Weight,Reps,Distance,Time\n"
    sets += "2024-05-22,Bench,Chest,60,8,,\n2024-05-22,Plank,Core,,,,0:20:00\n"
    sets += "2024-05-22,Bike,Cardio,,,10,0:10:00\n"
    assert minutes(sets) == [30]
    runs = "Date,Exercise,Duration,Distance (km)\n2024-05-22,Running,50:00,10\n"
    runs += "2024-05-22,Walking,30:00,3\n"
    good, _, _ = read(runs)
    assert [row.values.activity_type for row in good] == ["running", "walk"]


def test_strava_without_a_second_distance_in_any_language() -> None:
    header = "Aktivitäts-ID,Aktivitätsdatum,Name,Aktivitätsart,Beschreibung,Verstrichene Zeit,Distanz,Relative,Pendeln,Ausrüstung,Dateiname"  # noqa: E501
    rows = '1001,"15.01.2024, 06:30:00",A,Lauf,,1800,"5,02",,false,,activities/1.gpx\n'
    rows += '1002,"16.01.2024, 06:30:00",B,Schwimmen,,1800,"1.500",,false,,activities/2.gpx\n'
    good, refused, source = read(f"{header}\n{rows}")
    assert (source.name, refused) == ("strava", [])
    assert [(row.values.duration_minutes, row.values.distance_km) for row in good] == [
        (30, 5.02),
        (30, 1.5),
    ]


def test_points_out_of_order_and_laps_that_lie() -> None:
    points = "".join(
        f'<trkpt lat="{47 + n / 1000}" lon="8"><time>2024-01-01T10:0{n}:00Z</time></trkpt>'
        for n in (0, 1, 2, 5, 4, 3, 6)
    )
    [row], _, _ = read(f"<gpx><trk><trkseg>{points}</trkseg></trk></gpx>")
    assert row.values.distance_km == pytest.approx(0.667, abs=0.002)
    lap = "<TotalTimeSeconds>1800,5</TotalTimeSeconds><DistanceMeters>0</DistanceMeters>"
    track = "".join(
        f"<Trackpoint><DistanceMeters>{n}</DistanceMeters></Trackpoint>" for n in (0, 900, 2000)
    )
    text = "<TrainingCenterDatabase><Activity Sport='Running'><Id>2024-01-01T10:00:00Z</Id>"
    text += f"<Lap StartTime='2024-01-01T10:00:00Z'>{lap}<Track>{track}</Track></Lap></Activity>"
    [row], _, _ = read(text + "</TrainingCenterDatabase>")
    assert (row.values.duration_minutes, row.values.distance_km) == (30, 2)
