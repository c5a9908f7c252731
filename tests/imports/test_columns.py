"""Tables of one's own: which column is what is proposed, shown, said and remembered."""

from typing import Any

from tests.conftest import User, World
from tests.imports.test_import import finish

AT = "/api/v1/activities/import"
KNOWN = """Datum;Dauer;Distanz (km);Sportart
24.12.2023;00:45:00;7,5;Laufen
26.12.2023;1:30:00;15;x
"""
UNKNOWN = "Wann,Wie lange,Weit, Was\n2023-12-24,45,7.5,running\n2023-12-26,soon,15,run\n"
SAID = "date=#1,duration=#2,distance=Weit,type=Was"


async def look(user: User, text: str, **query: str) -> dict[str, Any]:
    answer = await user.post(f"{AT}/preview", content=text.encode(), params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def meanings(found: dict[str, Any]) -> list[str | None]:
    return [column["meaning"] for column in found["columns"]]


async def test_a_preview_proposes_columns_and_shows_five_rows(world: World) -> None:
    ada = await world.user()
    found = await look(ada, KNOWN + "27.12.2023;00:30:00;5;Laufen\n" * 9)
    assert meanings(found) == ["date", "duration", "distance", "type"]
    assert found["columns"][1]["samples"] == ["00:45:00", "1:30:00", "00:30:00"]
    assert [row["line"] for row in found["rows"]] == [2, 3, 4, 5, 6]
    first = found["rows"][0]
    assert (first["activity_type"], first["duration_minutes"], first["distance_km"]) == (
        "running", 45, 7.5
    )  # fmt: skip
    assert found["missing"] == ""
    assert await world.value("SELECT count(*) FROM imports") == 0


async def test_what_is_missing_is_asked_for_and_then_shown(world: World) -> None:
    ada = await world.user()
    found = await look(ada, UNKNOWN)
    assert "no column of" in found["missing"]
    assert found["rows"] == []
    assert "of durations" in (await look(ada, UNKNOWN, columns="date=#1"))["missing"]
    wrong = {"columns": "date=#9"}
    assert (await ada.post(f"{AT}/preview", content=UNKNOWN.encode(), params=wrong)).is_error
    found = await look(ada, UNKNOWN, columns=SAID)
    assert meanings(found) == ["date", "duration", "distance", "type"]
    good, bad = found["rows"]
    assert good["duration_minutes"] == 45
    assert "soon" in bad["refused"]


async def test_a_choice_is_remembered_for_its_person_and_header(world: World) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    accepted = await ada.post(AT, content=UNKNOWN.encode(), params={"columns": SAID})
    result = (await finish(ada, accepted.json()))["result"]
    assert result["imported"] == 1
    assert "date = Wann" in result["remarks"][0]

    later = UNKNOWN.splitlines()[0] + "\n2024-01-02,50,9,running\n"
    again = await ada.post(AT, content=later.encode())
    assert (await finish(ada, again.json()))["result"]["imported"] == 1
    assert meanings(await look(ada, later)) == ["date", "duration", "distance", "type"]
    other = later.replace("Weit", "Breit")
    assert (await ada.post(AT, content=other.encode())).status_code == 400
    assert (await eve.post(AT, content=later.encode())).status_code == 400


async def test_only_fifty_choices_are_kept(world: World) -> None:
    ada = await world.user()
    for number in range(52):
        text = f"Wann{number},Lange\n2023-12-24,45\n"
        said = f"date=Wann{number},duration=Lange"
        await ada.post(AT, content=text.encode(), params={"columns": said, "dry_run": "true"})
        await world.rows("DELETE FROM imports")
        await world.rows("DELETE FROM job_tickets")
    assert await world.value("SELECT count(*) FROM import_columns") == 50


async def test_what_is_no_table_has_no_preview(world: World) -> None:
    ada = await world.user()
    for content in (b"<gpx></gpx>", b"\x89PNG..", b"", b"\0\1\2", b"Datum,Dauer\n"):
        answer = await ada.post(f"{AT}/preview", content=content)
        assert answer.status_code == 400, answer.text
    large = UNKNOWN + "2023-12-24,45,7.5,running\n" * 100_000
    assert (await ada.post(f"{AT}/preview", content=large.encode())).status_code == 413
