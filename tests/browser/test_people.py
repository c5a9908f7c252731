"""What a person does, from registering to deleting."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from activelog.local import demo
from tests.activities.test_photos import picture
from tests.browser.conftest import execute, photograph
from tests.local.test_up import Up
from tests.processes import until

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]
PASSWORD = "correct horse battery staple"
BLOCK = """
INSERT INTO blocks (user_id, blocked_id)
SELECT a.id, y.id FROM users a, users y
WHERE a.email = 'ada@example.com' AND y.email = 'you@example.com'
"""


def verify(up: Up, page: Page, address: str) -> None:
    mails = up.place / "var" / "mails"
    until(lambda: demo._token_mailed_to(mails, address) is not None, "the mail")
    page.goto(f"/verify-email?token={demo._token_mailed_to(mails, address)}")
    photograph(page, "verify")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Verify my address").click()
    expect(page.get_by_role("heading", name="Your address is verified")).to_be_visible()


def sign_in(page: Page, address: str, password: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("Email").fill(address)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Activities")).to_be_visible()


def programs(page: Page) -> None:
    """What somebody who writes programs sets up."""
    page.goto("/account")
    page.get_by_text("A new token").click()
    page.get_by_label("What it is for").fill("backup")
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_text("Copy it now")).to_be_visible()
    photograph(page, "account-token")
    page.goto("/webhooks")
    page.get_by_label("Address").fill("https://example.com/activelog")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("The secret that signs")).to_be_visible()
    photograph(page, "webhooks")


def import_own_table(page: Page, file: Path) -> None:
    """Of which nobody knows the columns."""
    file.write_text("Wann,Wie lange,Weit\n2023-12-24,45,7.5\n2023-12-26,90,15\n")
    page.goto("/import")
    page.get_by_label("File").set_input_files(file)
    expect(page.get_by_text("Say below which column is what")).to_be_visible()
    photograph(page, "import-columns")
    late: list[Route] = []
    page.route(
        "**/import/columns?*", lambda route: route.continue_() if late else late.append(route)
    )
    for name, meaning in (("Wann", "date"), ("Wie lange", "duration"), ("Weit", "distance")):
        page.get_by_label(f"What {name} is").select_option(meaning)
        expect(page.get_by_label(f"What {name} is")).to_have_value(meaning)
    expect(page.get_by_role("cell", name="15.00")).to_be_visible()
    with page.expect_response("**/import/columns?*") as answer:
        late[0].continue_()
    answer.value.finished()
    expect(page.get_by_label("What Wie lange is")).to_have_value("duration")
    expect(page.get_by_role("cell", name="15.00")).to_be_visible()
    page.unroute("**/import/columns?*")
    photograph(page, "import-columns-said")
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("link", name="See your activities")).to_be_visible()


def test_register_import_export_download_delete(up: Up, page: Page, tmp_path: Path) -> None:
    page.goto("/exports")
    expect(page).to_have_url(re.compile("/sign-in"))
    photograph(page, "sign-in")
    page.get_by_role("link", name="Register").click()
    photograph(page, "register")
    page.get_by_label("Name").fill("Ada Lovelace")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_text("ada@example.com")).to_be_visible()
    verify(up, page, "ada@example.com")

    page.goto("/sign-in")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Password").fill("wrong password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    photograph(page, "sign-in-wrong")
    page.get_by_role("link", name="Forgot your password?").click()
    photograph(page, "forgot-password")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_role("button", name="Mail me a link").click()
    expect(page.get_by_text("a link is on its way there")).to_be_visible()
    page.goto("/reset-password?token=nonsense")
    page.get_by_label("Password").fill("another password")
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_role("alert")).to_contain_text("expired")
    photograph(page, "reset-password")
    page.goto("/sign-in")
    sign_in(page, "ada@example.com", PASSWORD)
    photograph(page, "activities-empty")

    page.get_by_role("link", name="import a file").click()
    photograph(page, "import")
    file = tmp_path / "year.csv"
    file.write_bytes(demo._made_up_year() + b"301,run,x,1,2024-01-01T00:00:00Z,,\r\n")
    page.get_by_label("File").set_input_files(file)
    expect(page.get_by_role("heading", name="The first rows")).to_be_visible()
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("link", name="See your activities")).to_be_visible()
    expect(page.get_by_text("duration_minutes")).to_be_visible()
    photograph(page, "import-done")
    import_own_table(page, tmp_path / "mine.csv")
    page.get_by_role("link", name="See your activities").click()
    page.get_by_label("Type").first.fill("running")
    page.get_by_label("Notes").fill("Round the lake")
    page.get_by_label("Tags").fill("morning, lake")
    page.get_by_role("button", name="Log it").click()
    expect(page.get_by_role("status")).to_contain_text("Logged")
    expect(page.get_by_text("Round the lake")).to_be_visible()
    photograph(page, "activities")
    page.locator("tbody a").first.click()
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(picture(size=(800, 600)))
    page.locator("input[type=file]").set_input_files(photo)
    page.get_by_role("button", name="Add photo").click()
    expect(page.get_by_role("img", name="Photo 1")).to_be_visible()
    photograph(page, "activity")

    page.goto("/statistics?unit=monthly&start_date=2024-01-01&end_date=2024-12-31")
    expect(page.get_by_role("img", name="Minutes by month, at most")).to_be_visible()
    expect(page.locator(".chart rect").last).to_be_visible()
    photograph(page, "statistics")
    page.goto("/statistics/year?year=2024")
    photograph(page, "year")
    programs(page)

    page.goto("/exports")
    photograph(page, "exports-empty")
    page.get_by_role("button", name="Request CSV").click()
    expect(page.get_by_role("cell", name="CSV", exact=True)).to_be_visible()
    page.get_by_role("button", name="Request PDF").click()
    expect(page.get_by_role("link", name="Download")).to_have_count(2)
    photograph(page, "exports")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").last.click()
    assert download.value.suggested_filename.endswith(".csv")
    assert Path(download.value.path()).read_bytes().count(b"\r\n") > 300
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").first.click()
    expect(page.get_by_role("link", name="Download")).to_have_count(1)

    execute(up, BLOCK)
    page.goto("/friends")
    photograph(page, "friends-blocked")
    page.get_by_role("button", name="Unblock").click()
    expect(page.get_by_text("They can ask again.")).to_be_visible()
    expect(page.get_by_role("button", name="Unblock")).to_have_count(0)

    for name in ("reports", "friends", "account", "docs"):
        page.goto(f"/{name}")
        photograph(page, name)
    page.goto("/account")
    page.get_by_label("Weekly summary", exact=True).uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Weekly summary", exact=True)).not_to_be_checked()
    page.get_by_label("Your address").fill("ada@example.com")
    page.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_role("heading", name="It will be deleted")).to_be_visible()
    page.get_by_role("button", name="Keep my account").click()
    expect(page.get_by_role("heading", name="It will be deleted")).to_have_count(0)
    page.goto("/admin")
    expect(page.get_by_text("was not found")).to_be_visible()
    photograph(page, "problem")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in"))
