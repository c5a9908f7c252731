"""From the first page to the deleted account: without a mouse, over a slow line, enlarged to twice
the size; and once without JavaScript."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import bring_axe, check_with_axe
from tests.browser.test_people import PASSWORD
from tests.local.test_up import Up

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]
ADDRESS = "grace@example.com"
_LABEL = """
() => {
  const one = document.activeElement;
  const label = one.labels && one.labels[0] ? one.labels[0].innerText : "";
  const style = getComputedStyle(one);
  const has_ring = style.outlineStyle !== "none" || style.boxShadow !== "none";
  const shows = /date|month/.test(one.type) || one.matches(":focus-visible") && has_ring;
  return [(label || one.innerText || one.value || "").trim(), shows, one.tagName];
}"""


class Keys:
    """Somebody who only has a keyboard."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def to(self, name: str) -> "Keys":
        """Tabs on until what has the focus is called so. Everything on the way shows its focus."""
        seen = []
        for _ in range(120):
            self.page.keyboard.press("Tab")
            label, is_shown, tag = self.page.evaluate(_LABEL)
            assert is_shown or tag == "BODY", f"{label!r} does not show that it has the focus"
            if label.startswith(name):
                return self
            seen.append(label)
        raise AssertionError(f"no {name} among {seen}")

    def press(self, *keys: str) -> "Keys":
        for key in keys:
            self.page.keyboard.press(key)
        return self

    def type(self, text: str) -> "Keys":
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)
        return self


def _fits(page: Page, where: str) -> None:
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{where} scrolls sideways at twice the size"
    check_with_axe(page, f"{where}, at twice the size")


def test_all_of_it_by_keyboard_over_a_slow_line_at_twice_the_size(
    up: Up, chromium: Browser
) -> None:
    context = chromium.new_context(
        base_url=up.url, viewport={"width": 640, "height": 450}, device_scale_factor=2
    )
    bring_axe(context)
    page = context.new_page()
    slow = {"offline": False, "latency": 600, "downloadThroughput": -1, "uploadThroughput": -1}
    context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    keys = Keys(page)

    page.goto("/")
    keys.to("Register").press("Enter")
    expect(page).to_have_url(re.compile("/register"))
    keys.to("Name").type("Grace").to("Email").type(ADDRESS).to("Password").type("short")
    page.eval_on_selector("form[action='/register']", "form => form.noValidate = true")
    keys.press("Enter")
    expect(page.locator("#wrong-password")).to_be_visible()
    expect(page.get_by_label("Password")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_value("Grace")
    _fits(page, "register")
    keys.type(PASSWORD).press("Enter")
    expect(page.get_by_text("Look into your mailbox")).to_be_visible()
    keys.to("Verify my address").press("Enter")
    expect(page.get_by_label("Password")).to_be_visible()
    keys.to("Password").type(PASSWORD).press("Enter")
    expect(page.get_by_role("heading", name="Your address is verified")).to_be_visible()
    keys.to("Sign in").press("Enter")
    expect(page).to_have_url(re.compile("/sign-in"))
    keys.to("Email").type(ADDRESS).to("Password").type(PASSWORD).press("Enter")
    expect(page.get_by_role("heading", name="Activities", exact=True)).to_be_visible()

    keys.press("Tab", "Enter")  # past the navigation
    keys.to("Type").type("Run").to("Minutes").type("1:30").to("Kilometres").type("15")
    keys.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("Logged")
    _fits(page, "activities")
    page.goto("/exports")
    keys.to("Request CSV").press("Enter")
    expect(page.get_by_role("link", name="Download")).to_be_visible(timeout=20_000)
    _fits(page, "exports")
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/account")
    _fits(page, "account")
    keys.to("Your address, to be sure").type(ADDRESS).press("Enter")
    expect(page.get_by_role("heading", name="It will be deleted")).to_be_visible()
    keys.to("Sign out").press("Enter")
    expect(page).to_have_url(re.compile("/sign-in"))
    context.close()


def test_without_javascript(up: Up, chromium: Browser) -> None:
    context = chromium.new_context(base_url=up.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/register")
    page.get_by_label("Name").fill("Grace")
    page.get_by_label("Email").fill(ADDRESS)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Register").click()
    page.get_by_role("link", name="Verify my address").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Verify my address").click()
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Email").fill(ADDRESS)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.locator("#log").get_by_label("Type").fill("run")
    page.get_by_label("Notes").fill("Uphill")
    page.get_by_label("Tags").fill("x" * 60)
    page.get_by_role("button", name="Log it").click()
    expect(page.locator("#wrong-tags")).to_be_visible()
    expect(page.get_by_label("Notes")).to_have_value("Uphill")
    page.get_by_label("Tags").fill("hills")
    page.get_by_role("button", name="Log it").click()
    expect(page.get_by_text("Logged")).to_be_visible()
    page.goto("/exports")
    page.get_by_role("button", name="Request CSV").click()
    expect(page.get_by_role("cell", name="csv").first).to_be_visible()
    context.close()
