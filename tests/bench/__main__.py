"""`python -m tests.bench SUITE [SUITE …] [--json]`: medians and ratios, each against a limit or a
peer that is measured in the same run, interleaved. A ratio above 1 is better than what it is held
against."""

import argparse
import json
from collections.abc import Callable, Iterator

from tests.bench import csv, mail, pages, pdf, peers, queue, schedules
from tests.bench.measure import Result

SUITES: dict[str, Callable[[], Iterator[Result]]] = {
    "queue": queue.measure,
    "mail": mail.measure,
    "csv": csv.measure,
    "pdf": pdf.measure,
    "schedules": schedules.measure,
    "pages": pages.measure,
    "peers": peers.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.bench")
    parser.add_argument("suites", nargs="+", choices=SUITES, metavar="SUITE")
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--peers", action="store_true", help="the queue's peers too, if installed")
    arguments = parser.parse_args()
    for suite in arguments.suites + ["peers"] * arguments.peers:
        for result in SUITES[suite]():
            print(_line(result) if arguments.json else _row(result), flush=True)


def _line(result: Result) -> str:
    return json.dumps(
        {
            "case": result.case,
            "value": round(result.value, 4),
            "unit": result.unit,
            "against": round(result.against, 4),
            "ratio": round(result.ratio, 3),
        }
    )


def _row(result: Result) -> str:
    return (
        f"{result.case:28} {result.value:>12,.2f} {result.unit:8} against {result.against:>12,.2f}"
        f"  ratio {result.ratio:6.2f}  {result.note}"
    )


main()
