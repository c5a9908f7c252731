"""`python -m tests.chaos.upgrade [--from REVISION] [--seconds N]`: the version before and this one
side by side. People use an API and a worker of the version before; the database is migrated under
them; an API and a worker of this version join; those of the other one are stopped. Nobody is told
of an error, and what they were told is there.

The version before is the newest commit of this repository with other migrations."""

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from activelog.database.migrations import migrate
from activelog.local.embedded import EmbeddedPostgres
from tests.chaos import checks, monkey, people, relay
from tests.chaos.checks import Found
from tests.chaos.ledger import Ledger
from tests.chaos.stand import ROOT, Child, Stand, environment, stop
from tests.conftest import remove_data
from tests.processes import PYTHON, answers, free_port, until

CHECKS = (
    checks.activities, checks.imports, checks.exports, checks.mails, checks.unsubscribed,
    checks.friends, checks.answers,
)  # fmt: skip
PEOPLE, PATIENCE = 6, 120.0


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.chaos.upgrade", description=__doc__)
    parser.add_argument("--from", dest="revision", help="the version before")
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    revision = arguments.revision or version_before()
    if revision is None:
        sys.exit("the version before is not here: this needs the repository's history")
    print(f"from {_git('log', '-1', '--format=%h %s', revision).strip()}", flush=True)
    with _running(revision) as (world, ledger, over, before):
        crowd = [
            people.Person(number, world, ledger, over, "1", PEOPLE) for number in range(PEOPLE)
        ]
        threads = [monkey.start(person.live) for person in crowd]
        _upgrade(world, before, arguments.seconds / 3)
        over.set()
        for thread in threads:
            thread.join(people.PATIENCE)
        until(lambda: checks.is_quiet(world), "quiet", PATIENCE)
        found = [*(check(world, ledger) for check in CHECKS), _jobs(world), _logs(world)]
    checks.show(found)
    sys.exit(any(one.wrong for one in found))


def _upgrade(world: Stand, before: list[Child], seconds: float) -> None:
    """Each step `seconds` after the one before."""
    time.sleep(seconds)
    began = time.monotonic()
    print(f"migrated: {', '.join(migrate(world.database_url))}", flush=True)
    print(f"under load it took {time.monotonic() - began:.1f} s", flush=True)
    _add(world, ROOT, "new")
    time.sleep(seconds)
    world.ports.pop(0)  # as a proxy would stop asking it
    for child in before:
        child.send(signal.SIGTERM)
        child.wait(60)
    time.sleep(seconds)


def _jobs(world: Stand) -> Found:
    rows = world.all(
        "SELECT task_name, status::text, count(*) FROM procrastinate_jobs GROUP BY 1, 2"
    )
    ended = ("succeeded", "cancelled", "aborted")
    wrong = [f"{count} of {task} {status}" for task, status, count in rows if status not in ended]
    return Found("jobs", len(rows), wrong)


def _logs(world: Stand) -> Found:
    """Of both versions: nothing that nobody foresaw."""
    wrong = [
        f"{name}: {log.count('Traceback')} tracebacks"
        for name, child in world.children.items()
        if "Traceback" in (log := child.log.read_text())
    ]
    return Found("logs", len(world.children), wrong)


@contextmanager
def _running(revision: str) -> Iterator[tuple[Stand, Ledger, threading.Event, list[Child]]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="activelog-upgrade-")))
        folder.chmod(0o755)
        old = folder / "old"
        old.mkdir()
        archive = subprocess.run(
            ["git", "archive", revision], cwd=ROOT, check=True, capture_output=True
        )
        subprocess.run(["tar", "x"], cwd=old, input=archive.stdout, check=True)
        stack.callback(remove_data, folder / "postgres")
        server = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        sink, smtp = stack.enter_context(relay.running())
        scratch = folder / "tmp"
        scratch.mkdir()
        env = environment(server.url(), smtp, (folder / "objects").as_uri(), scratch)
        env["PROCRASTINATE_APP"] = "activelog.jobs.app"
        command = [PYTHON, "-m", "activelog", "migrate"]
        subprocess.run(command, cwd=old, env=env | {"PYTHONPATH": str(old)}, check=True)
        world = Stand(folder=folder, relay=sink, env=env, scratch=scratch)
        stack.callback(stop, world)
        before = _add(world, old, "old")
        yield world, Ledger(folder / "ledger.jsonl"), threading.Event(), before


def _add(world: Stand, code: Path, name: str) -> list[Child]:
    """Starts an API and a worker of that code."""
    port, env = free_port(), world.env | {"PYTHONPATH": str(code)}
    children = [
        Child(f"{name}-api", [PYTHON, "-m", "activelog", "api", "--port", str(port)], env,
              world.folder / f"{name}-api.log"),
        Child(f"{name}-worker", [PYTHON, "-m", "procrastinate", "worker"], env,
              world.folder / f"{name}-worker.log"),
    ]  # fmt: skip
    for child in children:
        world.children[child.name] = child
        child.start()
    until(lambda: answers(port), f"the {name} API")
    world.ports.append(port)
    return children


def version_before() -> str | None:
    """The newest commit whose migrations are not those of now."""
    if not (ROOT / ".git").exists():
        return None
    change = _git("log", "-1", "--format=%H", "--", "sql/migrations").strip()
    before = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{change}~1"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    return before.stdout.strip() or None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    main()
