"""The private names of other people's packages that we rely on. When an upgrade makes one of these
tests fail, read the package's changes around the name, mend the place that is named here, and run
the tests of its folder."""

import inspect
from collections.abc import Callable
from io import BytesIO
from typing import Any

import fpdf
import fpdf.fonts
import fpdf.output
import procrastinate
import psycopg_pool
import pytest
from procrastinate import worker
from pypdf import PdfReader

from activelog.queue import AnyTask
from activelog.report.pdf import whole_font
from activelog.report.pdf.canvas import Canvas


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_procrastinate_makes_our_worker_and_our_pool() -> None:
    """activelog/queue/app.py overrides both: `procrastinate worker` would run the engine's."""
    assert parameters(procrastinate.App._worker) == ["self", "kwargs"]


def test_procrastinates_worker_has_what_ours_uses() -> None:
    """activelog/queue/worker.py takes the options as the engine stores them, and sets `_loop`."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=""))
    stock = worker.Worker(app, wait=False)
    for name in (
        "queues", "concurrency", "wait", "fetch_job_polling_interval", "listen_notify",
        "abort_job_polling_interval", "shutdown_graceful_timeout", "install_signal_handlers",
        "additional_context", "worker_name", "worker_id", "_loop",
    ):  # fmt: skip
        assert hasattr(stock, name), name


def test_procrastinates_registry_has_its_schedules() -> None:
    """activelog/schedules/ticks.py reads them."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=""))
    task: AnyTask = app.task(name="noop")(lambda timestamp: None)
    app.periodic(cron="0 2 * * *")(task)
    [found] = app.periodic_registry.periodic_tasks.values()
    assert (found.task, found.cron, found.periodic_id) == (task, "0 2 * * *", "")
    assert found.configure_kwargs == {}


def test_psycopgs_pool_checks_and_configures_connections() -> None:
    """activelog/database/pool.py: public names, whose absence nothing else would tell."""
    assert {"configure", "check", "open"} <= set(
        parameters(psycopg_pool.AsyncConnectionPool.__init__)
    )


def test_fpdf2_is_the_version_that_whole_fonts_were_tested_with() -> None:
    """activelog/report/pdf/whole_font.py: with another version reports are right and slow. Look at
    `OutputProducer._add_fonts`, which it overrides, at `SubsetMap.pick_glyph`, and at what
    `TTFFont` keeps; then raise TESTED_VERSION."""
    assert fpdf.FPDF_VERSION == whole_font.TESTED_VERSION
    assert hasattr(fpdf.output.OutputProducer, "_add_fonts")
    assert hasattr(fpdf.output.OutputProducer, "_add_pdf_obj")
    assert hasattr(fpdf.fonts.SubsetMap, "pick_glyph")
    assert parameters(fpdf.FPDF.get_fallback_font) == ["self", "char", "style"]
    assert parameters(fpdf.FPDF._preload_bidirectional_text) == ["self", "text", "markdown"], (
        "activelog/report/pdf/canvas.py puts its pieces together, or accents and emoji split"
    )
    assert {"alt_text"} <= set(parameters(fpdf.FPDF._marked_sequence)) or (
        "kwargs" in parameters(fpdf.FPDF._marked_sequence)
    ), "activelog/report/pdf/charts.py says by it what a chart shows"


def drawn(text: str) -> bytes:
    page = Canvas([text], [])
    page.add_page()
    page.put(20, 20, text)
    page.style("B", 12, (0, 0, 0))
    page.put(20, 40, text)
    return page.to_bytes()


def test_with_another_fpdf2_a_page_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = drawn("Grüße, 7.5 km")
    monkeypatch.setattr(whole_font, "TESTED_VERSION", "none")
    plain = drawn("Grüße, 7.5 km")
    assert len(plain) < len(ours), "its fonts are cut"
    for page in (ours, plain):
        assert PdfReader(BytesIO(page)).pages[0].extract_text().split() == [
            "Grüße,", "7.5", "km", "Grüße,", "7.5", "km"
        ]  # fmt: skip
