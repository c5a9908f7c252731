"""`python -m tests.bench SUITE [SUITE …] [--json]`: medians and ratios, each against a limit or a
peer that is measured in the same run, interleaved. A ratio above 1 is better than what it is held
against."""

import argparse
import importlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.measure import Result

SUITES = ("queue", "mail", "csv", "pdf", "schedules", "pages", "peers", "trickle")
EXTRAS = {"reportlab": "bench", "psycopg": "embedded,test"}


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.bench")
    parser.add_argument("suites", nargs="+", choices=SUITES, metavar="SUITE")
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--peers", action="store_true", help="the queue's peers too, if installed")
    arguments = parser.parse_args()
    for suite in arguments.suites + ["peers"] * arguments.peers:
        for result in _measure(suite):
            print(_line(result) if arguments.json else _row(result), flush=True)


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
