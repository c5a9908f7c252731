import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from activelog.local.embedded import ROOT_HOME, EmbeddedError, EmbeddedPostgres
from tests.conftest import remove_data
from tests.processes import is_alive, until

pytestmark = pytest.mark.slow

HOLD = """
import sys, time
from pathlib import Path
from activelog.local.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.pid, server.url(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="activelog-embedded-") as name:
        yield Path(name, "postgres")
        remove_data(Path(name, "postgres"))


def query(server: EmbeddedPostgres, statement: str) -> str:
    with psycopg.connect(server.url()) as conn:
        row = conn.execute(statement.encode()).fetchone()
        assert row is not None
        return str(row[0])


def test_data_survive_a_restart_and_the_host_does_not_leak_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = {"TZ": "Asia/Tokyo", "LC_ALL": "tr_TR.UTF-8", "PGPORT": "1"}
    for name, value in host.items():
        monkeypatch.setenv(name, value)
    with EmbeddedPostgres(folder) as server:
        assert query(server, "SELECT current_setting('TimeZone')") == "UTC"
        locale = query(server, "SELECT datlocale FROM pg_database WHERE datname = 'activelog'")
        assert locale == "C.UTF-8"
        assert query(server, "SELECT upper('ıi')") == "II"
        assert query(server, "SELECT current_setting('listen_addresses')") == ""
        with psycopg.connect(server.url(), autocommit=True) as conn:
            conn.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with EmbeddedPostgres(folder) as server:
        assert query(server, "SELECT answer FROM kept") == "42"


def test_it_is_gone_when_its_parent_is_killed_and_starts_again(folder: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    pid = int(holder.stdout.readline().split()[0])
    holder.kill()
    holder.wait()
    until(lambda: not is_alive(pid), "the end of Postgres", seconds=10)
    with EmbeddedPostgres(folder) as server:
        assert query(server, "SELECT 1") == "1"


def test_a_second_one_on_the_same_folder_is_refused(folder: Path) -> None:
    with EmbeddedPostgres(folder), pytest.raises(EmbeddedError, match="another activelog runs"):
        EmbeddedPostgres(folder).start()


def test_a_stale_pid_of_some_other_process_is_no_obstacle(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        data = server.log.parent / "data"
    content = f"{os.getpid()}\n{data}\n1\n5432\n{data.parent}\n\n0 0\nready\n"
    for left in (content, "", "nonsense"):
        (data / "postmaster.pid").write_text(left)
        with EmbeddedPostgres(folder) as server:
            assert query(server, "SELECT 1") == "1"


def test_what_a_killed_initdb_left_is_cleared_away(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        data = server.log.parent / "data"
    (data / "PG_VERSION").unlink()
    with EmbeddedPostgres(folder) as server:
        assert query(server, "SELECT 1") == "1"


@pytest.mark.parametrize("path", ["x" * 60 + "/" + "y" * 60, "晚" * 60, "a b&c,d%41=e?"])
def test_an_awkward_path_still_has_a_socket(path: str) -> None:
    with tempfile.TemporaryDirectory(prefix="activelog-embedded-") as name:
        folder = Path(name, path, "postgres")
        with EmbeddedPostgres(folder) as server:
            assert query(server, "SELECT 1") == "1"
        remove_data(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run it as somebody else")
def test_as_root_it_runs_as_somebody_else_and_opens_nobodys_folders() -> None:
    with tempfile.TemporaryDirectory(prefix="activelog-private-") as name:
        private = Path(name)
        private.chmod(0o700)
        with EmbeddedPostgres(private / "var" / "postgres") as server:
            assert Path(f"/proc/{server.pid}").stat().st_uid != 0
        assert private.stat().st_mode & 0o077 == 0
        assert (ROOT_HOME / server.log.parent.name).stat().st_mode & 0o077 == 0
        remove_data(private / "var" / "postgres")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_as_a_plain_user() -> None:
    with tempfile.TemporaryDirectory(prefix="activelog-plain-") as name:
        home = Path(name)
        shutil.chown(home, "nobody")
        script = HOLD.replace("time.sleep(60)", "print('up')")
        environment = {"PYTHONPATH": ":".join(sys.path)}
        python = _python_for_everybody(environment)
        done = subprocess.run(
            [python, "-c", script, str(home / "a b&c,d" / "postgres")], env=environment,
            user="nobody", extra_groups=[], capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "up" in done.stdout
        assert (home / "a b&c,d" / "postgres" / "data").stat().st_mode & 0o077 == 0


def _python_for_everybody(environment: dict[str, str]) -> str:
    """An interpreter of our version that a plain user may run: ours may lie in root's home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            subprocess.run(
                [python, "-c", "import activelog.embedded"],
                user="nobody", extra_groups=[], env=environment, check=True, cwd="/",
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    pytest.skip("this environment lies under a folder that only root can read")
