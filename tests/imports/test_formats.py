"""Files of other trackers, as they export them."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import World
from tests.imports.test_import import finish, upload

ENGLISH = [
    "Activity ID", "Activity Date", "Activity Name", "Activity Type", "Activity Description",
    "Elapsed Time", "Distance", "Max Heart Rate", "Relative Effort", "Commute",
    "Activity Private Note", "Activity Gear", "Filename", "Athlete Weight", "Bike Weight",
    "Elapsed Time", "Moving Time", "Distance", "Max Speed",
]  # fmt: skip
GERMAN = [
    "Aktivitäts-ID", "Aktivitätsdatum", "Name der Aktivität", "Aktivitätsart", "Beschreibung",
    "Verstrichene Zeit", "Distanz", "Max. Herzfrequenz", "Relative Leistung", "Pendeln",
    "Private Notiz", "Ausrüstung", "Dateiname", "Gewicht", "Radgewicht", "Verstrichene Zeit",
    "Bewegungszeit", "Distanz", "Max. Tempo",
]  # fmt: skip
GARMIN = ["Activity Type", "Date", "Favorite", "Title", "Distance", "Calories", "Time", "Avg HR"]
RUNKEEPER = ["Activity Id", "Date", "Type", "Route Name", "Distance (mi)", "Duration",
             "Calories Burned", "Notes", "GPX File"]  # fmt: skip


def strava(
    date: str, kind: str, km: str, moving: str, metres: str, elapsed: str = "3000"
) -> list[str]:
    return ["1", date, "Morning", kind, "with Bob", elapsed, km, "", "", "false", "", "", "a.gpx",
            "70", "", elapsed, moving, metres, ""]  # fmt: skip


def file(*rows: Sequence[str]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue()


CASES = {
    "strava": (
        file(
            ENGLISH,
            strava("Jan 15, 2024, 6:30:00 AM", "Run", "7.5", "2700.0", "7500.0"),
            strava("Jan 16, 2024, 6:30:00 PM", "Swim", "1500", "1800", "1500.0"),
            strava("Jan 17, 2024, 6:30:00 PM", "Weight Training", "0", "", ""),
        ),
        [
            ("running", 45, 7.5, "2024-01-15 06:30", "Morning\nwith Bob"),
            ("swim", 30, 1.5, "2024-01-16 18:30", "Morning\nwith Bob"),
            ("strength", 50, 0.0, "2024-01-17 18:30", "Morning\nwith Bob"),
        ],
    ),
    "strava in German": (
        file(
            GERMAN,
            strava("15.01.2024, 06:30:00", "Lauf", "1.007,5", "2700,0", "1.007.500,0"),
            strava("16.01.2024, 06:30:00", "Radfahrt", "42,195", "3600", ""),
        ),
        [
            ("running", 45, 1007.5, "2024-01-15 06:30", "Morning\nwith Bob"),
            ("ride", 60, 42.195, "2024-01-16 06:30", "Morning\nwith Bob"),
        ],
    ),
    "garmin": (
        file(
            GARMIN,
            ["Running", "2024-01-15 06:30:00", "false", "Park", "7.51", "430", "00:45:00.5", "150"],
            ["Lap Swimming", "2024-01-16 06:30:00", "false", "Pool", "1,500", "--", "30:00", "--"],
        ),
        [
            ("running", 45, 7.51, "2024-01-15 06:30", "Park"),
            ("swim", 30, 1.5, "2024-01-16 06:30", "Pool"),
        ],
    ),
    "runkeeper": (
        file(
            RUNKEEPER,
            ["x-1", "2024-01-15 06:30:00", "Running", "", "10", "1:02:03", "500.0", "windy", ""],
        ),
        [("running", 62, 16.093, "2024-01-15 06:30", "windy")],
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_other_trackers_export_comes_in(world: World, name: str) -> None:
    text, expected = CASES[name]
    ada = await world.user()
    status = await finish(ada, await upload(ada, text))
    assert status["status"] == "completed", status
    assert status["result"]["format"] == name.split()[0]
    assert status["result"].get("errors", []) == []
    rows = await world.rows(
        "SELECT activity_type, duration_minutes, distance_km,"
        " to_char(activity_date, 'YYYY-MM-DD HH24:MI'), trim(E'\\n' FROM title || E'\\n' || notes)"
        " FROM activities ORDER BY id"
    )
    assert rows == expected


async def test_the_header_that_strava_writes_today_is_known(world: World) -> None:
    header = Path(__file__).with_name("strava-header.csv").read_text().strip()
    ada = await world.user()
    cells = strava("Jan 15, 2024, 6:30:00 AM", "Ride", "20", "3600", "20123.4")
    cells += [""] * (header.count(",") + 1 - len(cells))
    cells[34] = "512.4"
    status = await finish(ada, await upload(ada, header + "\n" + file(cells)))
    assert status["result"]["imported"] == 1
    assert await world.rows("SELECT distance_km, calories FROM activities") == [(20.123, 512)]


async def test_a_second_import_finds_everything_there(world: World) -> None:
    ada = await world.user()
    text = CASES["strava"][0]
    await finish(ada, await upload(ada, text))
    await world.rows("DELETE FROM activities WHERE activity_type = 'swim'")
    status = await finish(ada, await upload(ada, text))
    assert status["result"]["imported"] == 1
    assert status["result"]["duplicates"] == 2
    assert await world.value("SELECT count(*) FROM activities") == 3


async def test_a_dry_run_reports_and_imports_nothing(world: World) -> None:
    ada = await world.user()
    text = file(ENGLISH, strava("Jan 15, 2024, 6:30:00 AM", "Run", "7.5", "2700.0", "7500.0"),
                strava("someday", "Run", "7.5", "2700.0", "7500.0"))  # fmt: skip
    accepted = await ada.post("/api/v1/activities/import?dry_run=true", content=text)
    status = await finish(ada, accepted.json())
    assert status["result"]["dry_run"] is True
    assert status["result"]["imported"] == 1
    assert "someday" in status["result"]["errors"][0]["reason"]
    assert await world.value("SELECT count(*) FROM activities") == 0


async def test_odd_cells_are_refused_by_line_and_the_others_come_in(world: World) -> None:
    ada = await world.user()
    good = ["Running", "2024-01-15 06:30:00", "false", "Park", "7.5", "430", "45:00", "150"]
    odd = [[*good[:5], value, *good[6:]] for value in ("nan", "inf", "1e999")]
    odd += [[*good[:6], value, good[7]] for value in ("nan:nan", "1:2:3:4", "")]
    status = await finish(ada, await upload(ada, file(GARMIN, good, *odd)))
    assert status["status"] == "completed", status
    assert status["result"]["imported"] >= 1
    assert status["result"]["rejected"] >= 5
    header = "Activity ID,Activity Date,Activity Name,Activity Type\n"
    short = await ada.post("/api/v1/activities/import", content=header + "1,2,3,4\n")
    assert short.status_code == 400


@pytest.mark.parametrize(
    "date",
    [
        "15 Sept 2024, 06:30:00",
        "15 Sep 2024, 06:30:00",
        "15 sept. 2024 à 06:30:00",
        "15 de set. de 2024, 06:30:00",
        "15. September 2024, 6:30:00",
        "15 set 2024, 06:30:00",
        "15.09.2024, 06:30:00",
        "Sep 15, 2024, 6:30:00 AM",
        "2024/9/15 6:30:00",
        "2024年9月15日 6:30:00",
    ],
)
async def test_dates_of_many_languages(world: World, date: str) -> None:
    ada = await world.user()
    text = file(ENGLISH, strava(date, "Run", "7.5", "2700.0", "7500.0"))
    await finish(ada, await upload(ada, text))
    [activity] = (await ada.get("/api/v1/activities")).json()["activities"]
    assert activity["activity_date"] == "2024-09-15T06:30:00Z"


@pytest.mark.parametrize("date", ["15 Foo 2024, 06:30:00", "31 Feb 2024, 06:30:00"])
async def test_dates_that_are_none_cost_their_row(world: World, date: str) -> None:
    ada = await world.user()
    text = file(ENGLISH, strava(date, "Run", "7.5", "2700.0", "7500.0"))
    result = (await finish(ada, await upload(ada, text)))["result"]
    assert (result["imported"], result["rejected"]) == (0, 1)


async def test_a_row_that_a_file_repeats_is_imported_once(world: World) -> None:
    ada = await world.user()
    row = strava("15 Sept 2024, 06:30:00", "Run", "7.5", "2700.0", "7500.0")
    result = (await finish(ada, await upload(ada, file(ENGLISH, row, row, row))))["result"]
    assert (result["imported"], result["duplicates"]) == (1, 2)
