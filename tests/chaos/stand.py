"""What chaos is made in: Postgres with a standby, an S3 server (a folder where there is none), a
relay, two API and three workers; and what can be done to each."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg

from activelog.base.processes import die_with_parent
from activelog.database.migrations import migrate
from activelog.local.embedded import EmbeddedPostgres
from tests.chaos import relay, witness
from tests.chaos.clock import wrong_by
from tests.conftest import SECRET, remove_data
from tests.processes import answers, free_port, until
from tests.real import radosgw, standby

ROOT = Path(__file__).parents[2]
SCRATCH_BYTES = 64 * 2**20
WORKERS, APIS = 3, 2


@dataclass
class Child:
    name: str
    command: list[str]
    env: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        parent = os.getpid()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                preexec_fn=lambda: die_with_parent(parent, signal.SIGKILL),
            )  # fmt: skip

    def send(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.wait(10)

    def wait(self, seconds: float) -> None:
        if self.process is not None:
            self.process.wait(seconds)

    def resident(self) -> int:
        """Bytes; 0 for one that does not run."""
        if self.process is None or self.process.poll() is not None:
            return 0
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) * 1024


@dataclass(kw_only=True)
class Stand:
    """What people use, and what they are held against."""

    folder: Path
    relay: relay.Relay
    env: dict[str, str]
    scratch: Path
    ports: list[int] = field(default_factory=list)
    children: dict[str, Child] = field(default_factory=dict)

    @property
    def database_url(self) -> str:
        """Of the primary, whichever that is."""
        return self.env["ACTIVELOG_DATABASE_URL"]

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.database_url, autocommit=True)

    def all(self, statement: str, *params: object) -> list[tuple[object, ...]]:
        with self.connect() as conn:
            cursor = conn.execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []


@dataclass(kw_only=True)
class OwnStand(Stand):
    """One whose Postgres is ours to break."""

    server: EmbeddedPostgres
    standby: EmbeddedPostgres | None = None
    s3: "subprocess.Popen[bytes] | None" = None
    is_small: bool = False  # the folder for temporary files has a size of its own

    def promote(self) -> None:
        """The primary dies without a word; the standby takes over."""
        assert self.standby is not None
        old, self.server, self.standby = self.server, self.standby, None
        assert old.pid is not None
        os.kill(old.pid, signal.SIGQUIT)
        with psycopg.connect(self.server.url(), autocommit=True) as conn:
            conn.execute("SELECT pg_promote()")
        old.stop()


@contextmanager
def running(folder: Path) -> Iterator[OwnStand]:
    with ExitStack() as stack:
        server = _server(stack, folder / "postgres")
        migrate(server.url())
        replica = _standby(stack, server, folder / "standby")
        sink, smtp = stack.enter_context(relay.running())
        storage, s3 = _storage(stack, folder)
        scratch, is_small = _scratch(stack, folder / "tmp")
        env = environment(_both(server, replica), smtp, storage, scratch)
        stand = OwnStand(
            folder=folder, relay=sink, env=env, scratch=scratch,
            server=server, standby=replica, s3=s3, is_small=is_small,
        )  # fmt: skip
        stand.all(witness.TABLE)
        add_children(stand)
        stand.children[f"worker-{WORKERS}"].env |= wrong_by("+90s") or {}
        stack.callback(stop, stand)
        start(stand)
        yield stand


def _server(stack: ExitStack, folder: Path) -> EmbeddedPostgres:
    server = EmbeddedPostgres(folder)
    stack.callback(remove_data, folder)
    return stack.enter_context(server)


def _standby(stack: ExitStack, primary: EmbeddedPostgres, folder: Path) -> EmbeddedPostgres:
    """Synchronous: what the primary has said is not lost with it."""
    found = stack.enter_context(standby.running(primary, folder))
    with psycopg.connect(primary.url(), autocommit=True) as conn:
        conn.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        conn.execute("SELECT pg_reload_conf()")
    return found


def _both(*servers: EmbeddedPostgres) -> str:
    hosts = ",".join(quote(str(server._place.sockets), safe="/") for server in servers)
    return (
        f"postgresql:///activelog?host={hosts}&port={','.join('5432' for _ in servers)}"
        "&user=activelog&target_session_attrs=read-write"
    )


def _storage(stack: ExitStack, folder: Path) -> tuple[str, "subprocess.Popen[bytes] | None"]:
    if not radosgw.is_installed():
        return (folder / "objects").as_uri(), None
    found = stack.enter_context(radosgw.radosgw(folder / "s3", free_port()))
    return found.storage_url, found.gateway


def _scratch(stack: ExitStack, folder: Path) -> tuple[Path, bool]:
    """As root a small one, that can be full."""
    folder.mkdir()
    size = f"size={SCRATCH_BYTES}"
    mount = ["mount", "-t", "tmpfs", "-o", size, "activelog-chaos", str(folder)]
    with suppress(OSError):
        if os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0:
            stack.callback(subprocess.run, ["umount", "-l", str(folder)], capture_output=True)
            return folder, True
    return folder, False


def environment(database: str, smtp: str, storage: str, scratch: Path) -> dict[str, str]:
    return dict(os.environ) | {
        "ACTIVELOG_DATABASE_URL": database,
        "ACTIVELOG_SECRET": SECRET,
        "ACTIVELOG_STORAGE_URL": storage,
        "ACTIVELOG_SMTP_URL": smtp,
        "ACTIVELOG_BASE_URL": "http://activelog.test",
        "PROCRASTINATE_APP": "tests.chaos.witness.app",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(scratch),
    }


def add_children(stand: Stand, workers: int = WORKERS) -> None:
    python = [sys.executable, "-m"]
    for number in range(1, APIS + 1):
        stand.ports.append(free_port())
        command = [*python, "activelog", "api", "--port", str(stand.ports[-1])]
        _add(stand, f"api-{number}", command)
    for number in range(1, workers + 1):
        command = [*python, "procrastinate", "worker", "--shutdown-graceful-timeout", "5"]
        _add(stand, f"worker-{number}", command)


def start(stand: Stand) -> None:
    """All of them; the APIs answer then."""
    for child in stand.children.values():
        child.start()
    for port in stand.ports:
        until(lambda port=port: answers(port), f"the API on port {port}")  # type: ignore[misc]


def _add(stand: Stand, name: str, command: list[str]) -> None:
    stand.children[name] = Child(name, command, dict(stand.env), stand.folder / f"{name}.log")


def stop(stand: Stand) -> None:
    for child in stand.children.values():
        child.send(signal.SIGCONT)
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + 20
    for child in stand.children.values():
        with suppress(subprocess.TimeoutExpired):
            child.wait(max(0.1, deadline - time.monotonic()))
        child.kill()
