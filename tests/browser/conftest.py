"""A running ActiveLog and a real browser. Screenshots stay in artifacts/ to be looked at."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.conftest import missing
from tests.local.test_up import Up, place

__all__ = ["place"]

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_OF_PAGES = {"landmark-one-main", "region"}  # a mail has no landmarks
expect.set_options(timeout=20_000)  # a busy machine draws a PDF in more than five seconds
# test_states.py looks at every page in the other two.
LOOKS = [("dark", 1280), ("light", 390)]
_AXE = """
() => axe.run(document, {resultTypes: ["violations"], preload: false})
         .then((results) => results.violations)"""


@pytest.fixture(name="up")
def running_up(place: Path) -> Iterator[Up]:
    up = Up(place)
    yield up
    up.process.terminate()
    up.process.wait(timeout=15)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        missing("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, up: Up) -> Iterator[Page]:
    context = chromium.new_context(base_url=up.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(10_000)
    bring_axe(context)
    found = context.new_page()
    problems: list[str] = []
    found.on("pageerror", lambda error: problems.append(str(error)))
    found.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    yield found
    context.close()
    assert [text for text in problems if "status of 4" not in text] == []


def photograph(page: Page, name: str, looks: list[tuple[str, int]] = LOOKS) -> None:
    """The page that is open, in every look; and axe's opinion of it, where axe is there."""
    ARTIFACTS.mkdir(exist_ok=True)
    for look, width in looks:
        page.emulate_media(color_scheme="dark" if look == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 900})
        page.screenshot(path=ARTIFACTS / f"{name}-{look}-{width}.png", full_page=True)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{name} scrolls sideways at {width} pixels"
        check_with_axe(page, f"{name}, {look}, {width}")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 900})


def bring_axe(context: BrowserContext) -> None:
    """To each page, where axe is there."""
    script = os.environ.get("ACTIVELOG_AXE")
    if script:
        context.add_init_script(path=script)
    else:
        assert not os.environ.get("CI"), "CI skips nothing, so it brings axe"


def check_with_axe(page: Page, where: str) -> None:
    if not os.environ.get("ACTIVELOG_AXE"):
        return
    found = page.evaluate(_AXE)
    wrong = [
        (one["id"], one["help"], [node["target"] for node in one["nodes"]][:3])
        for one in found
        if not (where.startswith("mail-") and one["id"] in _OF_PAGES)
    ]
    assert wrong == [], where


def execute(up: Up, statement: str, *params: object) -> None:
    with psycopg.connect(up.database_url, autocommit=True) as conn:
        conn.execute(statement.encode(), params or None)


def value(up: Up, statement: str) -> object:
    with psycopg.connect(up.database_url, autocommit=True) as conn:
        row = conn.execute(statement.encode()).fetchone()
        assert row is not None
        return row[0]
