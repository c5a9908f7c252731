"""ActiveLog on one machine: Postgres, API and worker as children of one process.

`run` brings them up in order and watches them: a worker or API that dies is started again. All
children die with this process, also when it is killed.
"""

import os
import secrets
import shlex
import shutil
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

from activelog import database
from activelog.base import auth
from activelog.base.errors import CommandError
from activelog.base.processes import die_with_parent
from activelog.database.migrations import migrate
from activelog.local.embedded import EmbeddedPostgres, package_binaries

STOP_SECONDS = 6
_RESTARTS_A_MINUTE = 10
_START_SECONDS = 20
_OURS = ("ACTIVELOG_", "PROCRASTINATE_")

OWN_EMAIL = "you@example.com"
_OWN_ACCOUNT = """
INSERT INTO users (email, name, password_hash, verified_at, is_admin)
VALUES (%(email)s, 'You', %(hash)s, now(), true)
ON CONFLICT (lower(email)) WHERE verified_at IS NOT NULL
DO UPDATE SET password_hash = excluded.password_hash, is_admin = true"""


class LocalError(CommandError):
    """Why it does not run, in one line."""


@dataclass
class Child:
    """A process of ours, its log file and how to start it again."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    restarts: list[float] = field(default_factory=list)

    def start_again(self) -> None:
        """Raises LocalError when it keeps dying."""
        now = time.monotonic()
        self.restarts = [at for at in self.restarts if at > now - 60] + [now]
        if len(self.restarts) > _RESTARTS_A_MINUTE:
            raise LocalError(f"the {self.name} keeps dying; {self.log} says why")
        self.start()

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
    children: tuple[Child, ...]

    postgres: EmbeddedPostgres

    def keep_alive(self) -> list[str]:
        """Starts children that died; returns their names. Raises LocalError for what a restart
        does not mend."""
        if not self.postgres.is_running:
            raise LocalError(f"Postgres died; {self.postgres.log} says why")
        dead = [child for child in self.children if child.is_dead()]
        for child in dead:
            child.start_again()
        return [child.name for child in dead]


@contextmanager
def run(var: Path, port: int, environ: Mapping[str, str]) -> Iterator[Running]:
    """Everything below `var`, the API on 127.0.0.1:`port` (0: any free one). `environ` may bring
    settings for mail and storage of its own."""
    var, port = var.absolute(), _free_port(port)
    os.umask(0o077)  # mails and objects are private
    (var / "logs").mkdir(parents=True, exist_ok=True)
    base_url = f"http://127.0.0.1:{port}"
    with EmbeddedPostgres(var / "postgres") as postgres:
        migrate(postgres.url())
        environment = _environment(var, postgres.url(), base_url, environ)
        _write_environment(var / "env", environment)
        children = _children(var, environment, port)
        try:
            for child in children:
                child.start()
            _wait_for_api(base_url, children[0])
            yield Running(base_url, var, postgres.url(), children, postgres)
        finally:
            _stop(children)


def _environment(
    var: Path, database_url: str, base_url: str, environ: Mapping[str, str]
) -> dict[str, str]:
    """Whatever of another installation the environment names (its database, its files, its
    bounces), this one keeps its hands off. A relay may be there to be tried."""
    defaults = {"ACTIVELOG_SMTP_URL": (var / "mails").as_uri()}
    own = {
        "ACTIVELOG_DATABASE_URL": database_url,
        "ACTIVELOG_DATABASE_DIRECT_URL": "",
        "ACTIVELOG_DATABASE_REPLICA_URL": "",
        "ACTIVELOG_STORAGE_URL": (var / "objects").as_uri(),
        "ACTIVELOG_BOUNCES_MAILBOX": "",
        "ACTIVELOG_BASE_URL": base_url,
        "ACTIVELOG_SECRET": _secret(var / "secret"),
        "PROCRASTINATE_APP": "activelog.jobs.app",
        "PYTHONUNBUFFERED": "1",
    }
    return defaults | dict(environ) | own


def _write_environment(path: Path, environment: Mapping[str, str]) -> None:
    """For a shell: `. var/env`, and `activelog`, `procrastinate` and `psql` work on this one."""
    ours = {name: value for name, value in environment.items() if name.startswith(_OURS)}
    lines = [f"export {name}={shlex.quote(ours[name])}\n" for name in sorted(ours)]
    programs = f"{Path(sys.executable).parent}:{package_binaries() / 'bin'}"
    path.write_text("".join([*lines, f"export PATH={shlex.quote(programs)}:$PATH\n"]))


def psql() -> str:
    """The command: on the path, or the one beside the Postgres that runs here."""
    return shutil.which("psql") or shlex.quote(str(package_binaries() / "bin" / "psql"))


def _secret(path: Path) -> str:
    if not path.exists():
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text().strip()


def own_account(running: Running) -> tuple[str, str]:
    """An address and a password that sign in, without the way over mails."""
    path = running.var / "password"
    if not path.exists():
        path.write_text(secrets.token_urlsafe(9))
    password = path.read_text().strip()
    with database.connect_here(running.database_url, "activelog up") as conn:
        conn.execute(_OWN_ACCOUNT, {"email": OWN_EMAIL, "hash": auth.hash_password(password)})
    return OWN_EMAIL, password


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
        except (OSError, OverflowError):
            raise LocalError(f"port {port} cannot be had; choose another one with --port") from None
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


def greeting(running: Running) -> str:
    """What to open, and an account that works."""
    address, password = own_account(running)
    return "\n".join(
        [
            "",
            f"  ActiveLog runs at {running.base_url}",
            "",
            f"  Pages      {running.base_url}/",
            f"  Jobs       {running.base_url}/admin",
            f"  API        {running.base_url}/docs",
            f"  Account    {address}  password {password}",
            f"  Mails      {running.var / 'mails'}",
            f"  Logs       {running.var / 'logs'}",
            f"  Database   {psql()} '{running.database_url}'",
            f"  Workers    . {running.var / 'env'}; procrastinate --help",
            "",
            "  Ctrl-C stops everything.",
        ]
    )
