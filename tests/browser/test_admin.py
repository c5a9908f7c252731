"""What an operator does at three in the morning."""

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import execute, photograph, value
from tests.browser.test_people import sign_in
from tests.local.test_up import Up
from tests.processes import until

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]

FAILING = """
SELECT procrastinate_defer_jobs_v1(array_agg(ROW(
    'default', 'activelog.summaries.weekly_mail', 0, NULL, NULL,
    jsonb_build_object('user_id', (SELECT min(id) FROM users), 'dedup_key', 'gibberish ' || n), NULL
)::procrastinate_job_to_defer_v1)) FROM generate_series(1, 7) AS n
"""
GIVE_UP = "UPDATE procrastinate_jobs SET status = 'failed' WHERE status = 'todo' AND attempts > 0"
MEND = """
UPDATE procrastinate_jobs SET args = '{"user_id": 999999, "dedup_key": "2024-01-15"}'
WHERE task_name = 'activelog.summaries.weekly_mail'
"""
RUNS_BY_HAND = """
SELECT count(*) FROM schedule_runs
WHERE task_name = 'activelog.cleanup.nightly' AND tick IS NULL AND finished_at IS NOT NULL
"""


def test_find_retry_pause_and_run(up: Up, page: Page) -> None:
    sign_in(page, "you@example.com", up.password)
    page.get_by_role("link", name="Jobs").click()
    expect(page.get_by_role("heading", name="Queues")).to_be_visible()
    execute(up, FAILING)
    until(lambda: value(up, "SELECT count(DISTINCT job_id) FROM job_errors") == 7, "seven failures")
    page.goto("/admin/jobs?text=isoformat")
    expect(page.locator("tbody tr")).to_have_count(7)
    execute(up, GIVE_UP)
    page.goto("/admin")
    expect(page.get_by_text("Invalid isoformat string").first).to_be_visible()
    photograph(page, "admin")

    page.goto("/admin/jobs?status=failed&text=isoformat")
    photograph(page, "admin-jobs")
    page.get_by_label("Came from (UTC)").fill(f"{datetime.now(UTC):%Y-%m-%dT00:00}")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("tbody tr")).to_have_count(7)
    page.get_by_label("Came from (UTC)").fill("2024-01-01T00:00")
    page.get_by_label("to", exact=True).fill("2024-01-02T00:00")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_text("No such jobs")).to_be_visible()
    page.goto("/admin/jobs?status=failed&text=isoformat")
    page.locator("tbody a").first.click()
    expect(page.get_by_text("Traceback").first).to_be_visible()
    photograph(page, "admin-job")
    execute(up, MEND)
    page.get_by_text("The same again with other arguments").click()
    page.get_by_label("Arguments, as a JSON object").fill("no object")
    page.get_by_role("button", name="Yes, queue it").click()
    expect(page.get_by_text("must be a JSON object")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("Done: retry")).to_be_visible()
    page.goto("/admin/jobs?status=failed")
    expect(page.locator("tbody tr")).to_have_count(6)
    page.get_by_role("button", name="retry").click()
    expect(page.get_by_role("heading", name="Retry 6 jobs?")).to_be_visible()
    photograph(page, "admin-bulk")
    page.get_by_role("button", name="Yes, retry them").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    expect(page.get_by_text("6 jobs")).to_be_visible()
    page.goto("/admin/jobs?status=failed")
    expect(page.get_by_text("No such jobs")).to_be_visible()

    page.goto("/admin")
    row = page.get_by_role("row", name="low")
    row.get_by_text("Pause", exact=True).click()
    row.get_by_role("button", name="Yes, pause it").click()
    expect(row.get_by_text("paused")).to_be_visible()
    execute(up, "DELETE FROM paused_queues")
    expect(row.get_by_text("paused")).to_have_count(0, timeout=10_000)  # nobody reloads the page
    row.get_by_text("Pause", exact=True).click()
    row.get_by_role("button", name="Yes, pause it").click()
    expect(row.get_by_text("paused")).to_be_visible()
    row.get_by_text("Limit", exact=True).click()
    row.get_by_label("At most, in low").fill("3")
    row.get_by_role("button", name="Set it").click()
    expect(row.get_by_text("At most 3 at once")).to_be_visible()
    page.goto("/admin/schedules")
    nightly = page.get_by_role("row", name="activelog.cleanup.nightly").first
    nightly.get_by_text("Run now").click()
    nightly.get_by_role("button", name="Yes, run it").click()
    page.wait_for_timeout(1500)
    page.goto("/admin/schedules")
    expect(page.get_by_text("by hand")).to_have_count(0)
    page.goto("/admin")
    row.get_by_role("button", name="Resume").click()
    expect(row.get_by_text("paused")).to_have_count(0)
    until(lambda: value(up, RUNS_BY_HAND) == 1, "the run")
    page.goto("/admin/schedules")
    expect(page.get_by_text("by hand")).to_have_count(1)
    photograph(page, "admin-schedules")
    page.goto("/admin/audit")
    for action in ("run now", "resume", "pause", "retry"):
        expect(page.get_by_text(action).first).to_be_visible()
    photograph(page, "admin-audit")
    for name in ("/admin/mails", "/dev/mails", "/admin?charts=minutes"):
        page.goto(name)
        page.wait_for_load_state("networkidle")
        photograph(page, re.sub(r"\W", "-", name.strip("/")))
