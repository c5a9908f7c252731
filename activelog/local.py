"""ActiveLog on one machine: Postgres, API and worker as children of one process.

`run` brings them up in order and watches them: a worker or API that dies is started again. All
children die with this process, also when it is killed.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from activelog.embedded import EmbeddedPostgres, die_with_parent
from activelog.migrate import migrate

STOP_SECONDS = 8
_START_SECONDS = 20


class LocalError(Exception):
    """Why it does not run, in one line."""


@dataclass
class Child:
    """A process of ours, its log file and how to start it again."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        parent = os.getpid()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C comes to us alone
                preexec_fn=lambda: die_with_parent(parent, signal.SIGKILL),
            )

    def is_dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def ask_to_stop(self) -> None:
        if self.process is not None and not self.is_dead():
            self.process.send_signal(signal.SIGTERM)

    def wait_or_kill(self, deadline: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class Running:
    base_url: str
    var: Path
    database_url: str
    environment: Mapping[str, str]
    children: tuple[Child, ...]

    def keep_alive(self) -> list[str]:
        """Starts children that died; returns their names."""
        dead = [child for child in self.children if child.is_dead()]
        for child in dead:
            child.start()
        return [child.name for child in dead]


@contextmanager
def run(var: Path, port: int, environ: Mapping[str, str]) -> Iterator[Running]:
    """Everything below `var`, the API on 127.0.0.1:`port` (0: any free one). `environ` may bring
    settings for mail and storage of its own."""
    var = var.absolute()
    var.parent.mkdir(parents=True, exist_ok=True)
    var.mkdir(mode=0o700, exist_ok=True)  # mails and objects are private
    (var / "logs").mkdir(exist_ok=True)
    port = _free_port(port)
    base_url = f"http://127.0.0.1:{port}"
    with EmbeddedPostgres(var / "postgres") as postgres:
        migrate(postgres.url())
        environment = _environment(var, postgres.url(), base_url, environ)
        children = _children(var, environment, port)
        try:
            for child in children:
                child.start()
            _wait_for_api(base_url, children[0])
            yield Running(base_url, var, postgres.url(), environment, children)
        finally:
            _stop(children)


def _environment(
    var: Path, database_url: str, base_url: str, environ: Mapping[str, str]
) -> dict[str, str]:
    defaults = {
        "ACTIVELOG_ENV": "development",
        "ACTIVELOG_STORAGE_URL": (var / "objects").as_uri(),
        "ACTIVELOG_SMTP_URL": (var / "mails").as_uri(),
    }
    own = {
        "ACTIVELOG_DATABASE_URL": database_url,
        "ACTIVELOG_BASE_URL": base_url,
        "ACTIVELOG_SECRET": _secret(var / "secret"),
        "PROCRASTINATE_APP": "activelog.jobs.app",
        "PYTHONUNBUFFERED": "1",
    }
    return defaults | dict(environ) | own


def _secret(path: Path) -> str:
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text().strip()


def _children(var: Path, environment: Mapping[str, str], port: int) -> tuple[Child, ...]:
    python = sys.executable
    api = [python, "-m", "activelog", "api", "--port", str(port)]
    worker = [python, "-m", "procrastinate", "worker", "--shutdown-graceful-timeout", "5"]
    return (
        Child("api", api, environment, var / "logs" / "api.log"),
        Child("worker", worker, environment, var / "logs" / "worker.log"),
    )


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise LocalError(f"port {port} is taken; choose another one with --port") from None
        return int(probe.getsockname()[1])


def _wait_for_api(base_url: str, api: Child) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and not api.is_dead():
        try:
            with urlopen(f"{base_url}/healthz", timeout=2):  # noqa: S310 - our own address
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise LocalError(f"the API did not start; {api.log} says why")


def _stop(children: tuple[Child, ...]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.wait_or_kill(deadline)
