from io import BytesIO
from pathlib import Path

from pypdf import PdfReader

from tests.conftest import World


async def test_the_first_of_a_month_draws_and_announces_reports_once(
    world: World, tmp_path: Path
) -> None:
    ada, idle = await world.user(), await world.user("idle@example.com")
    await ada.log(activity_date="2024-02-29T23:59:59Z", notes="a leap day")
    await idle.log(activity_date="2024-01-31T23:59:59Z")
    for _ in range(2):
        await world.jobs_defer("activelog.reports.monthly", day="2024-03-01")
        await world.work()
    assert (tmp_path / "objects" / "reports" / str(ada.id) / "2024-02.pdf").is_file()
    assert not (tmp_path / "objects" / "reports" / str(idle.id)).exists()
    [mail] = world.mails(ada.address)
    assert mail["Subject"] == "Your report of February 2024 is ready"
    runs = await world.rows("SELECT counts FROM schedule_runs ORDER BY id")
    assert runs == [({"reports queued": 1},), ({"reports queued": 0},)]

    [report] = (await ada.get("/api/v1/reports")).json()["reports"]
    assert report["month"] == "2024-02"
    link = await world.http.get(report["download_url"])
    file = await world.http.get(link.headers["Location"])
    text = PdfReader(BytesIO(file.content)).pages[0].extract_text()
    assert "a leap day" in text
    assert (await idle.get("/api/v1/reports")).json()["reports"] == []
    assert (await idle.get("/api/v1/reports/2024-02/download")).status_code == 404
    assert (await ada.get("/api/v1/reports/2024-13/download")).status_code == 400
    forged = report["download_url"].replace(f"user={ada.id}", f"user={idle.id}")
    assert (await world.http.get(forged)).status_code == 403
    assert (await world.http.get("/api/v1/reports/2024-02/download")).status_code == 401


async def test_one_users_failure_is_that_users_job(world: World, tmp_path: Path) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    for user in (ada, bob):
        await user.log(activity_date="2024-02-15T06:00:00Z")
    (tmp_path / "objects" / "reports").mkdir(parents=True)
    (tmp_path / "objects" / "reports" / str(ada.id)).write_text("in the way")
    await world.jobs_defer("activelog.reports.monthly", day="2024-03-01")
    await world.work()
    assert await world.value("SELECT outcome FROM schedule_runs") == "succeeded"
    assert await world.value("SELECT count(*) FROM reports") == 1
    assert len(world.mails(bob.address)) == 1
