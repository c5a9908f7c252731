"""`python -m tests.chaos [--rounds N]` breaks one thing at a time and measures the way back
(`cases.py`). `python -m tests.chaos --minutes N [--seed S] [--keep]` lets people use the product
while everything breaks, and holds what they were told against what is there."""

import argparse
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from tests.chaos import cases, checks, monkey, people, stand
from tests.chaos.checks import Found
from tests.chaos.ledger import Ledger
from tests.chaos.stand import OwnStand, Stand
from tests.processes import until

QUIET_SECONDS = 240.0
PEOPLE = 8


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--minutes", type=float, help="of chaos with a ledger")
    parser.add_argument("--seed", default="1", help="the same one gives the same acts")
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--keep", action="store_true", help="leave all standing at the end")
    arguments = parser.parse_args()
    if arguments.minutes is None:
        measure(arguments.rounds, as_json=arguments.json)
    elif not play(arguments):
        sys.exit(1)


def measure(rounds: int, *, as_json: bool) -> None:
    for case, seconds, against in cases.measure(rounds):
        middle, worst = median(seconds), max(seconds)
        if as_json:
            line = {"case": case, "value": middle, "unit": "s", "against": against}
            print(json.dumps(line | {"ratio": against / middle, "worst": worst}), flush=True)
        else:
            print(
                f"{case:28} median {middle:8.4f} s  worst {worst:8.4f} s  against {against:.4g} s",
                flush=True,
            )


def play(arguments: argparse.Namespace) -> bool:
    """Whether everything matches."""
    with tempfile.TemporaryDirectory(prefix="activelog-chaos-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        ledger = Ledger(folder / "ledger.jsonl")
        with stand.running(folder) as world:
            _say(f"{arguments.minutes:g} minutes, seed {arguments.seed}, in {folder}")
            _let_live(world, ledger, arguments)
            found = [check(world, ledger) for check in checks.CHECKS]
            if arguments.keep:
                _show(found, ledger, as_json=arguments.json)
                input(f"All stands: {world.database_url}; Enter ends it. ")
        found.append(checks.scratch(world))
        _show(found, ledger, as_json=arguments.json)
        return not any(one.wrong for one in found)


def _let_live(world: OwnStand, ledger: Ledger, arguments: argparse.Namespace) -> None:
    over = threading.Event()
    threads = [monkey.start(people.witnesses, world, ledger, over, arguments.seed)]
    for number in range(arguments.people):
        one = people.Person(number, world, ledger, over, arguments.seed, arguments.people)
        threads.append(monkey.start(one.live))
    monkey.Monkey(world, ledger, arguments.seed).play(arguments.minutes * 60)
    over.set()
    for thread in threads:
        thread.join(people.PATIENCE + 20)
    _say(f"{len(ledger.entries)} entries, {len(world.relay.deliveries)} mails; now quiet")
    began = time.monotonic()
    try:
        until(lambda: _is_quiet(world), "quiet", QUIET_SECONDS)
    except AssertionError:
        _say("it does not become quiet")
    _say(f"quiet after {time.monotonic() - began:.0f} s")
    time.sleep(5)  # the last counts are written once a second, and added up every few


def _is_quiet(world: Stand) -> bool:
    """Twice in a row: a job that ends may bring another one."""
    if not checks.is_quiet(world):
        time.sleep(0.5)
        return False
    time.sleep(1)
    return checks.is_quiet(world)


def _show(found: list[Found], ledger: Ledger, *, as_json: bool) -> None:
    for one in found:
        if as_json:
            line = {"case": f"ledger.{one.name.replace(' ', '_')}", "value": len(one.wrong),
                    "unit": "wrong", "against": one.checked,
                    "ratio": 0.0 if one.wrong else 1.0}  # fmt: skip
            print(json.dumps(line), flush=True)
            continue
        checks.show([one])
        if one.at is not None:
            for act in ledger.around(one.at):
                _say(f"        {checks.moment(act.at)} {act.what} {act.asked['to']}")
    acts = [entry for entry in ledger.entries if entry.by == "monkey"]
    if not as_json:
        _say(f"{len(acts)} acts of chaos")


def _say(text: str) -> None:
    print(text, file=sys.stderr if text.startswith("quiet") else sys.stdout, flush=True)


main()
