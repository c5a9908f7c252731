"""What a person sees, in a real browser. Screenshots stay in artifacts/ to be looked at."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.test_local import Up, place

__all__ = ["place"]

pytestmark = pytest.mark.xdist_group("local")
ARTIFACTS = Path(__file__).parent.parent / "artifacts"
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOOKS = [("light", 1280), ("dark", 1280), ("light", 500), ("dark", 500)]


def chromium(*arguments: str) -> str:
    program = shutil.which("chromium")
    if program is None:
        missing("chromium")
    with tempfile.TemporaryDirectory(prefix="activelog-chromium-") as profile:
        return subprocess.run(
            [str(program), *QUIET, f"--user-data-dir={profile}", *arguments],
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip


@pytest.fixture(name="up")
def running_up(place: Path) -> Iterator[Up]:
    up = Up(place)
    yield up
    up.process.terminate()
    up.process.wait(timeout=15)


def test_the_pages_show_what_they_should_and_are_photographed(up: Up) -> None:
    pages = {
        "docs": ("/docs", ["The ActiveLog API", "/api/v1/activities/export/csv"]),
        "verify": ("/verify-email?token=x", ["Verify my address", "<form"]),
    }
    ARTIFACTS.mkdir(exist_ok=True)
    for name, (path, texts) in pages.items():
        shown = chromium("--dump-dom", up.url + path)
        for text in texts:
            assert text in shown
        for look, width in LOOKS:
            picture = ARTIFACTS / f"{name}-{look}-{width}.png"
            picture.unlink(missing_ok=True)
            scheme = f"--blink-settings=preferredColorScheme={0 if look == 'dark' else 1}"
            size = f"--window-size={width},1400"
            chromium(scheme, size, f"--screenshot={picture}", up.url + path)
            assert picture.stat().st_size > 5_000
