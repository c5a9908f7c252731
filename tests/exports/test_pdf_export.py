import unicodedata
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader

from tests.conftest import User, World
from tests.exports.test_csv_export import download
from tests.imports.test_import import finish

pytestmark = pytest.mark.slow


async def report(user: User, **body: Any) -> PdfReader:
    accepted = await user.post("/api/v1/activities/export/pdf", json=body)
    assert accepted.status_code == 202, accepted.text
    assert accepted.json()["message"] == "pdf generation started"
    status = await finish(user, accepted.json())
    assert status["status"] == "completed", status
    return PdfReader(BytesIO(await download(user, status)))


def text_of(reader: PdfReader) -> str:
    return "\n".join(page.extract_text() for page in reader.pages)


async def test_a_monthly_report_tells_of_its_month_alone(world: World) -> None:
    ada = await world.user()
    await ada.log(activity_date="2024-01-31T23:59:59Z", notes="last of January")
    await ada.log(activity_date="2024-02-01T00:00:00Z", notes="first of February")
    await ada.log(activity_date="2023-12-31T12:00:00Z", notes="a long walk", duration_minutes=90)
    reader = await report(ada, report_type="monthly", month="2024-01")
    text = text_of(reader)
    assert "January 2024" in text
    assert "Monthly report · Ada" in text
    assert "last of January" in text
    assert "first of February" not in text
    assert "a long walk" not in text
    assert "−50 % on December" in text  # 45 minutes after 90
    assert "Page 1 of 1" in text
    assert reader.metadata is not None
    assert reader.metadata.title == "January 2024"
    assert str(reader.root_object["/Lang"]) == "en"
    assert [entry.title for entry in reader.outline if not isinstance(entry, list)] == [
        "January 2024"
    ]


async def test_yearly_and_range_reports(world: World) -> None:
    ada = await world.user()
    await ada.log(activity_date="2024-06-15T06:30:00Z", notes="in June")
    yearly = text_of(await report(ada, report_type="yearly", year=2024))
    assert "Yearly report" in yearly
    assert "Time per week" in yearly
    days = {"start_date": "2024-06-15", "end_date": "2024-06-15T23:00:00Z"}
    assert "15 June 2024 – 15 June 2024" in text_of(await report(ada, report_type="range", **days))
    days["start_date"] = "2020-01-01"
    assert "Time per month" in text_of(await report(ada, report_type="range", **days))


async def test_a_month_without_activities_still_makes_a_page(world: World) -> None:
    ada = await world.user()
    text = text_of(await report(ada, month="2024-02"))
    assert "No activities in February 2024" in text


async def test_no_character_vanishes(world: World) -> None:
    ada = await world.user()
    notes = ["晚间跑步 🎉", "Ελληνικά и кириллица", "שלום", "مرحبا"]
    for minute, text in enumerate(notes):
        await ada.log(notes=text, activity_date=f"2024-01-15T06:{minute:02}:00Z")
    found = text_of(await report(ada, month="2024-01"))
    for text in ("晚间跑步", "🎉", "Ελληνικά", "кириллица", "שלום"):
        assert text in found or text[::-1] in found, text
    assert set("مرحبا") <= set(found)  # (joined letters come out of a PDF with joints)
    assert "□" not in found


INVISIBLE = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"]


async def test_invisible_letters_break_nothing(world: World) -> None:
    """Marks of direction come along with pasted text."""
    await world.rows("UPDATE users SET name = %s", "Ada\u200f")
    ada = await world.user()
    notes = "".join(f"a{letter}b" for letter in INVISIBLE)
    await ada.log(notes="שלום\u200f \u202aone\u202c", tags=["tag\u200e"], activity_type="run\u2066")
    await ada.log(notes=notes)
    assert "abab" in text_of(await report(ada, month="2024-01"))


@pytest.mark.parametrize("letter", ["ខ", "\x01", "\x7f", "\x9b"])
async def test_what_no_font_has_is_a_box(world: World, letter: str) -> None:
    ada = await world.user()
    await ada.log(notes=f"one{letter}two")
    assert "one□two" in text_of(await report(ada, month="2024-01"))


async def test_a_long_note_is_cut(world: World) -> None:
    ada = await world.user()
    for letter in "x晚ש":
        await ada.log(notes=letter * 10_000)
    text = text_of(await report(ada, month="2024-01"))
    assert text.count("…") == 3


async def test_filters_and_charts(world: World) -> None:
    ada = await world.user()
    await ada.log(activity_type="yoga", tags=["evening"], notes="a stretch")
    await ada.log(activity_type="running", notes="a run")
    text = text_of(await report(ada, month="2024-01", type="yoga", include_charts=False))
    assert "a stretch" in text
    assert "a run" not in text
    assert "Time per day" not in text


async def test_the_same_report_is_the_same_bytes(world: World) -> None:
    ada = await world.user()
    await ada.log()
    body = {"report_type": "monthly", "month": "2024-01"}
    files = []
    for _ in range(2):
        accepted = await ada.post("/api/v1/activities/export/pdf", json=body)
        files.append(await download(ada, await finish(ada, accepted.json())))
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"month": "2024-13"}, "month"),
        ({"month": "January"}, "month"),
        ({"month": "0001-01"}, "month"),
        ({"report_type": "weekly"}, "report_type"),
        ({"report_type": "yearly", "month": "2024-01"}, "month"),
        ({"report_type": "yearly", "year": 99999}, "year"),
        ({"report_type": "yearly", "year": 0}, "year"),
        ({"month": ""}, "month"),
        (
            {"report_type": "range", "start_date": "2024-01-01 x", "end_date": "2024-01-31"},
            "start_date",
        ),
        ({"report_type": "range", "start_date": "2024-01-01"}, "start_date"),
        (
            {"report_type": "range", "start_date": "2024-02-01", "end_date": "2024-01-01"},
            "end_date",
        ),
        (
            {"report_type": "range", "start_date": "1901-01-01", "end_date": "2101-01-02"},
            "end_date",
        ),
        ({"month": "2024-01", "tag": "nothing"}, "tag"),
        ({"month": "2024-01", "type": "chess"}, "type"),
        ({"include_tags": True}, "include_tags"),
    ],
)
async def test_bad_reports_start_nothing(world: World, body: dict[str, Any], field: str) -> None:
    ada = await world.user()
    refused = await ada.post("/api/v1/activities/export/pdf", json=body)
    assert refused.status_code == 400
    assert list(refused.json()["details"]) == [field]
    assert await world.value("SELECT count(*) FROM procrastinate_jobs") == 0


async def test_too_many_rows_for_a_pdf_are_refused_with_a_word_on_csv(world: World) -> None:
    ada = await world.user()
    await world.rows(
        "INSERT INTO activities (user_id, activity_date, duration_minutes, distance_km,"
        " activity_type) SELECT %s, '2024-01-15', 1, 1, 'running' FROM generate_series(1, 20001)",
        ada.id,
    )
    refused = await ada.post("/api/v1/activities/export/pdf", json={"month": "2024-01"})
    assert refused.status_code == 400
    assert "CSV" in refused.json()["message"]


async def test_export_request_takes_both_formats(world: World) -> None:
    ada = await world.user()
    await ada.log()
    for body, query, kind in (
        ({"format": "csv", "include_tags": False}, "", "text/csv"),
        ({"format": "pdf", "month": "2024-01"}, "", "application/pdf"),
        ({}, "?format=pdf", "application/pdf"),
    ):
        accepted = await ada.post(f"/api/v1/export/request{query}", json=body)
        assert accepted.status_code == 202, accepted.text
        status = await finish(ada, accepted.json())
        link = await ada.get(f"/api/v1/export/{status['job_id']}/download")
        file = await world.http.get(link.headers["Location"])
        assert file.headers["Content-Type"].startswith(kind)
    for body, says in (
        ({}, "csv or pdf"),
        ({"format": "xml"}, "xml"),
        ({"format": "csv", "month": "2024-01"}, "not a known field"),
    ):
        refused = await ada.post("/api/v1/export/request", json=body)
        assert refused.status_code == 400
        assert says in refused.json()["message"]


async def test_a_failed_export_is_told_of_by_mail(world: World) -> None:
    ada = await world.user()
    accepted = await ada.post("/api/v1/activities/export/pdf", json={"month": "2024-01"})
    await world.rows('UPDATE exports SET filters = \'{"report_type": "monthly", "month": "x"}\'')
    for _ in range(4):
        await world.work()
        await world.rows("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
    await world.work()
    status = (await ada.get(accepted.json()["status_url"])).json()
    assert status["status"] == "failed"
    [mail] = world.mails(ada.address)
    assert mail["Subject"] == "Your export could not be made"
    assert status["error"] in mail.get_body(("plain",)).get_content()


async def test_a_report_that_takes_too_long_is_refused_before_it_is_drawn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelog.report.drawing.LONGEST", 0.0001)
    ada = await world.user()
    for _ in range(3):
        await ada.log(notes="晚间跑步 " * 50)
    job = (await ada.post("/api/v1/activities/export/pdf", json={"month": "2024-01"})).json()
    status = await finish(ada, job)
    assert status["status"] == "failed"
    assert status["retry_count"] == 0
    assert "shorter time, or CSV" in status["error"]


async def test_figures_are_never_cut(world: World) -> None:
    ada = await world.user()
    for hour in range(14):
        date = f"2024-01-{hour + 1:02}T06:30:00Z"
        await ada.log(activity_date=date, duration_minutes=1439, distance_km=7142.857)
    text = text_of(await report(ada, report_type="range", start_date="2011-01-01",
                                end_date="2024-12-31"))  # fmt: skip
    assert "335 h 46 min" in text
    assert "14 of 5,114" in text
    assert "14 · 335 h 46 min · 100,000.0 km" in text
    assert "…" not in text


async def test_a_report_of_some_activities_says_of_which(world: World) -> None:
    ada = await world.user()
    await ada.log(activity_type="yoga", tags=["evening"])
    text = text_of(await report(ada, month="2024-01", type="yoga", tag="evening"))
    assert "Monthly report · Ada · only yoga tagged evening" in text


async def test_what_is_under_way_is_compared_with_as_much_of_what_was_before(world: World) -> None:
    ada = await world.user()
    today = world.services.clock().date()
    for year in (today.year - 1, today.year):
        await ada.log(activity_date=f"{year}-01-01T06:30:00Z")
    await ada.log(activity_date=f"{today.year - 1}-12-31T06:30:00Z")
    text = text_of(await report(ada, report_type="yearly", year=today.year))
    if (today.month, today.day) != (12, 31):
        assert f"as in {today.year - 1}" in text
        assert f"until {today.day} {today:%B} {today.year}" in text
        assert f"1 of {today.timetuple().tm_yday}" in text
