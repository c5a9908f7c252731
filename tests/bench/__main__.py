"""`python -m tests.bench SUITE [SUITE …] [--json | --markdown]`: medians and ratios, each against a
limit or a peer that is measured in the same run, interleaved. A ratio above 1 is better than what
it is held against. `--all` measures every suite, `--markdown` prints a table for the README, with
the machine, the versions and the day."""

import argparse
import importlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.measure import Result

SUITES = (
    "queue",
    "mail",
    "csv",
    "pdf",
    "schedules",
    "pages",
    "cost",
    "snapshot",
    "peers",
    "trickle",
    "redis",
    "size",
)
ON_DEMAND = ("redis", "size")  # no part of --all
EXTRAS = {"reportlab": "bench", "psycopg": "embedded,test"}


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.bench")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--all", action="store_true", help="every suite but redis and size")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one object a line")
    form.add_argument("--markdown", action="store_true", help="a table, and where it was measured")
    parser.add_argument("--peers", action="store_true", help="the queue's peers too, if installed")
    arguments = parser.parse_args()
    every = [suite for suite in SUITES if suite not in ON_DEMAND]
    suites = every if arguments.all else arguments.suites + ["peers"] * arguments.peers
    if not suites or not set(suites) <= set(SUITES):
        parser.error(f"say some of {', '.join(SUITES)}, or --all")
    shown = _row
    if arguments.json:
        shown = _line
    if arguments.markdown:
        shown = _cells
        print(f"{_machine()}\n\n| case | measured | against | ratio | |\n|---|--:|--:|--:|---|")
    for suite in suites:
        for result in _measure(suite):
            print(shown(result), flush=True)


def _machine() -> str:
    """Where and when it is measured."""
    names = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", names, re.MULTILINE)
    cpu = found[1].strip() if found else platform.processor() or platform.machine()
    versions = ", ".join(f"{name} {version(name)}" for name in ("procrastinate", "psycopg"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {cpu}, {platform.system()}"
        f" {platform.release()}, Python {platform.python_version()}, {versions}"
    )


def _cells(result: "Result") -> str:
    return (
        f"| `{result.case}` | {result.value:,.5g} {result.unit} | {result.against:,.5g}"
        f" {result.unit} | {result.ratio:.2f} | {result.note} |"
    )


def _measure(suite: str) -> "Iterator[Result]":
    try:
        module = importlib.import_module(f"tests.bench.{suite}")
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(str(error.name), "embedded,test,bench,peers")
        sys.exit(f"The suite {suite} needs {error.name}: pip install -e '.[{extra}]'")
    found: Iterator[Result] = module.measure()
    return found


def _line(result: "Result") -> str:
    return json.dumps(
        {
            "case": result.case,
            "value": round(result.value, 4),
            "unit": result.unit,
            "against": round(result.against, 4),
            "ratio": round(result.ratio, 3),
        }
    )


def _row(result: "Result") -> str:
    return (
        f"{result.case:28} {result.value:>12,.2f} {result.unit:8} against {result.against:>12,.2f}"
        f"  ratio {result.ratio:6.2f}  {result.note}"
    )


main()
