"""A real PgBouncer in front of a test's database, as Debian ships it and with its defaults."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.processes import until

_CONFIG = """
[databases]
* = host={sockets} port={server_port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 30
max_client_conn = 500
logfile = {folder}/log
pidfile = {folder}/pid
{more}
"""


def is_installed() -> bool:
    return shutil.which("pgbouncer") is not None


@contextmanager
def pgbouncer(database_url: str, mode: str, port: int, more: str = "") -> Iterator[str]:
    """The URL that leads through it to the same database. `more`: lines of its configuration."""
    wanted = conninfo_to_dict(database_url)
    folder = Path(tempfile.mkdtemp(prefix="activelog-pgbouncer-"))
    folder.chmod(0o777)
    config = folder / "pgbouncer.ini"
    config.write_text(_CONFIG.format(
        sockets=wanted["host"], server_port=wanted.get("port", 5432), port=port, mode=mode,
        folder=folder, user=wanted["user"], more=more,
    ))  # fmt: skip
    command = ["pgbouncer", "-q", str(config)]
    if os.geteuid() == 0:  # which it refuses
        command[1:1] = ["-u", pwd.getpwnam("nobody").pw_name]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"postgresql://{wanted['user']}@127.0.0.1:{port}/{wanted['dbname']}"
    try:
        until(lambda: _answers(url), "PgBouncer")
        yield url
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
