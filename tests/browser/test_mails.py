"""Every mail as a mailbox shows it: light on a desktop and dark on the narrowest phone; those in
other languages the other way round."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from activelog.mail import LanguageCode, Templates
from activelog.web import MAILS
from tests.browser.conftest import bring_axe, photograph

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]

LOOKS, OTHER_LOOKS = [("light", 640), ("dark", 320)], [("dark", 640), ("light", 320)]
NAMES = {
    "long": "x" * 300,
    "hebrew": "שרה כהן",
    "emoji": "🎉" * 40,
    "script": "<script>document.title = 'hacked'</script>",
}


FIXTURES = {kind.name: dict(kind.fixture) for kind in MAILS}


def mails() -> dict[str, tuple[str, dict[str, Any]]]:
    """By the name of the picture: kind of mail, and what it tells."""
    found = {f"mail-{kind}": (kind, {"name": "Ada"} | data) for kind, data in FIXTURES.items()}
    none = SimpleNamespace(activities=0, minutes=0, kilometres=0.0, calories=0)
    week = SimpleNamespace(**vars(FIXTURES["weekly_summary"]["week"]) | {"totals": none})
    idle = FIXTURES["weekly_summary"] | {"week": week}
    found["mail-weekly_summary-idle"] = ("weekly_summary", {"name": "Ada"} | idle)
    for name, text in NAMES.items():
        found[f"mail-to-{name}"] = ("welcome", {"name": text})
    friends = {"name": NAMES["long"], "names": list(NAMES.values()), "total": 30}
    found["mail-friend_request-hostile"] = ("friend_request", friends)
    return found


@pytest.fixture(scope="module")
def mailbox(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context()
    bring_axe(context)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", mails())
def test_a_mail_fits_every_screen(mailbox: Page, name: str) -> None:
    look_at(mailbox, name, *mails()[name])


@pytest.mark.parametrize("language", ["de", "es"])
def test_a_mail_fits_every_screen_in_other_languages(mailbox: Page, language: LanguageCode) -> None:
    for kind in ("weekly_summary", "export_ready", "new_sign_in"):
        data = {"name": "Ada"} | FIXTURES[kind]
        look_at(mailbox, f"mail-{kind}-{language}", kind, data, language, OTHER_LOOKS)


def look_at(
    mailbox: Page,
    name: str,
    kind: str,
    data: dict[str, Any],
    language: LanguageCode = "en",
    looks: list[tuple[str, int]] = LOOKS,
) -> None:
    data["unsubscribe_url"] = "https://activelog.example/unsubscribe?token=" + "x" * 60
    _, _, html = Templates(None, "https://activelog.example").render(kind, data, language)
    mailbox.set_content(html)
    photograph(mailbox, name, looks)
    assert mailbox.title() != "hacked"
