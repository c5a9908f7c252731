"""`activelog demo` and `activelog up` as a stranger runs them."""

import csv
import io
import json
import os
import signal
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from activelog.base.settings import Folder, Settings, Smtp
from activelog.local import up
from tests.conftest import remove_data
from tests.processes import PYTHON, is_alive, run, until

pytestmark = [pytest.mark.xdist_group("local"), pytest.mark.slow]


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="activelog-local-") as name:
        yield Path(name)
        for link in Path(name).rglob("postgres"):
            remove_data(link)


def test_the_demo(place: Path) -> None:
    done = run("activelog", "demo", cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 300 rows are the same" in done.stdout
    assert "It works: 300 activities" in done.stdout
    for subject in ("Welcome to ActiveLog", "Verify your address", "Your export is ready"):
        assert subject in done.stdout
    saved = place / "var" / "demo" / "activities.csv"
    assert str(saved) in done.stdout
    assert saved.read_bytes().count(b"\r\n") > 300
    again = run("activelog", "demo", cwd=place)
    assert again.returncode == 0, again.stdout + again.stderr


def test_the_demo_takes_a_file_and_names_what_it_refused(place: Path) -> None:
    file = place / "mine.csv"
    file.write_text(
        "activity_type,duration_minutes,activity_date\n"
        "run,30,2024-01-01T10:00:00Z\nrun,x,2024-01-01T10:00:00Z\n"
    )
    done = run("activelog", "demo", "--activities", str(file), cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 activity imported, 1 refused" in done.stdout
    assert "line 3: duration_minutes" in done.stdout


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read"), ("a,b\n1,2\n", "the header has no column")]
)
def test_a_demo_that_fails_says_so_in_one_line(place: Path, content: str | None, says: str) -> None:
    file = place / "mine.csv"
    if content is not None:
        file.write_text(content)
    done = run("activelog", "demo", "--activities", str(file), cwd=place)
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("activelog: ")
    assert says in line


class Up:
    def __init__(self, place: Path, *program: str, options: Sequence[str] = ()) -> None:
        self.place = place
        self.process = subprocess.Popen(
            [PYTHON, *(program or ("-m", "activelog")), "up", "--port", "0", *options],
            cwd=place,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line)
            if "Ctrl-C" in line:
                break
        self.children = _children(self.process.pid)

    @property
    def url(self) -> str:
        return next(line for line in self.lines if "runs at" in line).split()[-1]

    @property
    def password(self) -> str:
        return next(line for line in self.lines if "Account" in line).split()[-1]

    @property
    def database_url(self) -> str:
        return next(line for line in self.lines if "Database" in line).split("'")[1]

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    def count(self, account: dict[str, Any]) -> int:
        """Activities of that account."""
        token = self.call("/api/v1/auth/login", account)["token"]
        path = f"{self.url}/api/v1/activities/export/csv/download"
        request = urllib.request.Request(path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return sum(1 for _ in csv.reader(io.TextIOWrapper(response, newline=""))) - 1

    def gone(self) -> bool:
        return not any(is_alive(pid) for pid in [self.process.pid, *self.children])


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _account(up: Up) -> dict[str, Any]:
    line = next(line for line in up.lines if "Account" in line).split()
    return {"email": line[1], "password": line[3]}


def test_up_runs_restarts_a_dead_worker_and_stops(place: Path) -> None:
    up = Up(place)
    assert up.call("/api/v1/auth/login", _account(up))["token"]
    assert len(up.children) == 3, "postgres, api, worker"
    worker = next(pid for pid in up.children if b"procrastinate" in _command(pid))
    os.kill(worker, signal.SIGKILL)
    until(lambda: len(set(_children(up.process.pid)) - {worker}) == 3, "a new worker")
    up.process.send_signal(signal.SIGTERM)
    up.process.wait(timeout=10)
    assert up.gone()

    again = Up(place)
    assert again.call("/api/v1/auth/login", _account(again))["token"], "the same account works"
    again.process.send_signal(signal.SIGINT)
    assert again.process.wait(timeout=10) == 0


def test_up_keeps_its_hands_off_another_installation(tmp_path: Path) -> None:
    theirs = {
        "ACTIVELOG_DATABASE_DIRECT_URL": "postgresql://theirs/x",
        "ACTIVELOG_DATABASE_REPLICA_URL": "postgresql://theirs/x",
        "ACTIVELOG_STORAGE_URL": "file:///their/objects",
        "ACTIVELOG_BOUNCES_MAILBOX": "maildir:/their/box",
        "ACTIVELOG_SMTP_URL": "smtp://relay:25",
    }
    made = up._environment(tmp_path, "postgresql://ours/x", "http://x.test", theirs)
    settings = Settings.from_env(made)
    assert settings.direct_url == settings.database_url == "postgresql://ours/x"
    assert settings.database_replica_url is settings.bounces_mailbox is None
    assert settings.storage == Folder(tmp_path / "objects")
    assert isinstance(settings.mail, Smtp), "to try it"


def test_up_goes_on_with_what_the_demo_made(place: Path) -> None:
    done = run("activelog", "demo", cwd=place)
    line = next(line for line in done.stdout.splitlines() if "Then sign in" in line).split()
    command = next(line for line in done.stdout.splitlines() if "Keep it running" in line)
    assert "up --var" in command
    up = Up(place, options=["--var", command.split()[-1]])
    account = {"email": line[4], "password": line[-1]}
    assert up.count(account) == 300
    up.process.send_signal(signal.SIGTERM)
    up.process.wait(timeout=10)


def test_up_with_a_year_of_data(place: Path) -> None:
    for _ in range(2):  # nothing comes twice, not on another day either
        up = Up(place, options=["--demo"])
        assert up.count(_account(up)) == 300
        with psycopg.connect(up.database_url) as conn:
            conn.execute("UPDATE activities SET activity_date = activity_date - interval '1 day'")
        up.process.send_signal(signal.SIGTERM)
        up.process.wait(timeout=10)
    for program in ("activelog", "procrastinate", "psql"):
        shell = f". {place / 'var' / 'env'}; command -v {program}"
        subprocess.run(["sh", "-c", shell], check=True, stdout=subprocess.DEVNULL)


STOPPED_AMID_A_FORK = """
import os, signal
from activelog.__main__ import main
from activelog.local.up import Child

def start_again(child):
    os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
    child.start()

Child.start_again = start_again
main()
"""


def test_a_signal_that_comes_while_a_child_starts_is_not_lost(place: Path) -> None:
    up = Up(place, "-c", STOPPED_AMID_A_FORK)
    worker = next(pid for pid in up.children if b"procrastinate" in _command(pid))
    os.kill(worker, signal.SIGKILL)
    assert up.process.wait(timeout=15) == 0
    assert up.gone()


def test_nothing_outlives_a_killed_up_and_the_next_one_starts(place: Path) -> None:
    up = Up(place)
    up.process.kill()
    up.process.wait()
    until(up.gone, "the end of all children", seconds=10)
    again = Up(place)
    assert again.call("/api/v1/auth/login", _account(again))["token"]
    again.process.send_signal(signal.SIGTERM)
    again.process.wait(timeout=10)


def test_a_port_that_is_taken_is_one_clear_line(place: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run("activelog", "up", "--port", port, cwd=place)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == f"activelog: port {port} cannot be had; choose another one with --port"
    )
