"""Every page with nothing, with fifteen years of activities, and with names that mean harm. The
pictures stay in artifacts/ to be looked at."""

import pytest
from playwright.sync_api import Page, expect

from activelog.local.up import OWN_EMAIL
from tests.browser.conftest import execute, photograph
from tests.browser.test_people import sign_in
from tests.local.test_up import Up

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]
PAGES = ("activities", "statistics", "statistics/year", "exports", "reports", "friends", "account",
         "webhooks", "import", "admin", "admin/jobs", "admin/schedules", "admin/mails",
         "admin/audit")  # fmt: skip
LOOKS = [("light", 1280), ("dark", 390)]
YEARS = """
INSERT INTO activities (user_id, activity_date, utc_offset, duration_minutes, distance_km,
                        activity_type, calories, tags, notes)
SELECT u.id, now() - n * interval '29 hours', 60, 20 + n % 100, (n % 400) / 10.0,
       (ARRAY['running', 'ride', 'yoga', 'swim'])[n % 4 + 1], 300, ARRAY['am', 'tag ' || n % 9],
       'A note of some length, as people write them, number ' || n
FROM users u, generate_series(1, 4500) AS n WHERE email = 'you@example.com';
INSERT INTO users (email, name, password_hash, verified_at)
SELECT 'friend' || n || '@example.com', 'Friend ' || n, 'none', now()
FROM generate_series(1, 40) AS n;
INSERT INTO friendships (user_id, friend_id) SELECT u.id, f.id FROM users u, users f
WHERE u.email = 'you@example.com' AND f.email LIKE 'friend%';
"""
HOSTILE = """
UPDATE users SET name = '<script>alert(1)</script>' || repeat('W', 60)
WHERE email = 'you@example.com';
UPDATE users SET name = E'\\u202e\\u0635\\u062f\\u064a\\u0642 "><img src=x onerror=alert(1)>' || id
WHERE email LIKE 'friend%';
UPDATE activities SET activity_type = (ARRAY[repeat('w', 50), '<b>bold</b>',
    E'\\u0645\\u0634\\u064a',
    E'\\U0001F468\\u200d\\U0001F469\\u200d\\U0001F467 run', '=1+1'])[id % 5 + 1],
    title = repeat('x', 200), notes = repeat('Donaudampfschiff', 60), tags = ARRAY[repeat('t', 50)],
    distance_km = CASE WHEN id % 7 = 0 THEN 1000000 ELSE distance_km END
WHERE user_id = (SELECT id FROM users WHERE email = 'you@example.com');
"""


def test_every_page_in_every_state(up: Up, page: Page) -> None:
    password = (up.place / "var" / "password").read_text().strip()
    sign_in(page, OWN_EMAIL, password)
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    look_at_all(page, "none")
    for state, statements in (("years", YEARS), ("hostile", HOSTILE)):
        execute(up, statements)
        look_at_all(page, state)
        page.goto("/activities")
        page.locator("tbody a").first.click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        photograph(page, f"{state}-activity", LOOKS)


def look_at_all(page: Page, state: str) -> None:
    for path in PAGES:
        page.goto(f"/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        photograph(page, f"{state}-{path.replace('/', '-')}", LOOKS)
