"""`python -m tests.security.fuzz [--examples N] [--as VISITOR]`: schemathesis with all checks
against the API, as nobody, as a user and as an admin. Ends with 1 when it finds something."""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from activelog.base import auth
from activelog.base.processes import die_with_parent
from activelog.database.migrations import migrate
from activelog.local.embedded import EmbeddedPostgres
from tests.conftest import SECRET, remove_data
from tests.processes import PYTHON, free_port, until

USER = """
INSERT INTO users (email, name, password_hash, verified_at, is_admin)
VALUES (%s, 'Fuzz', %s, now(), %s) RETURNING id
"""
VISITORS = ("nobody", "a user", "an admin")
# Ending its own session would leave the visitor signed out.
LEFT_OUT = ("/api/v1/auth/logout", "/api/v1/auth/sessions")


@contextmanager
def running_api(url: str, folder: Path) -> Iterator[str]:
    """Its address. It ends with this process, however that ends."""
    port, parent = free_port(), os.getpid()
    env = dict(os.environ) | {
        "ACTIVELOG_DATABASE_URL": url,
        "ACTIVELOG_SECRET": SECRET,
        "ACTIVELOG_STORAGE_URL": (folder / "objects").as_uri(),
        "ACTIVELOG_SMTP_URL": (folder / "mails").as_uri(),
        "ACTIVELOG_BASE_URL": f"http://127.0.0.1:{port}",
        "ACTIVELOG_REGISTRATIONS_PER_HOUR": "1000000",
    }
    command = [PYTHON, "-m", "activelog", "api", "--port", str(port)]
    with (folder / "api.log").open("w") as log:
        process = subprocess.Popen(
            command, env=env, stdout=log, stderr=log,
            preexec_fn=lambda: die_with_parent(parent, signal.SIGKILL),
        )  # fmt: skip
    try:
        until(lambda: "running on" in (folder / "api.log").read_text(), "the API")
        yield env["ACTIVELOG_BASE_URL"]
    finally:
        process.kill()
        process.wait()


def fuzz(address: str, visitor: str, token: str | None, examples: int) -> int:
    """The exit code of schemathesis."""
    print(f"As {visitor}", flush=True)
    command = [
        PYTHON, "-m", "schemathesis.cli", "run", f"{address}/openapi.json",
        "--checks", "all", "--exclude-checks", "positive_data_acceptance",
        "--phases", "examples,coverage,fuzzing",
        "--max-examples", str(examples), "--seed", "1",
        "--workers", "1",  # two threads that parse at once break `ast` of Python 3.11
        "--suppress-health-check", "all",
    ]  # fmt: skip
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    if token:
        command += ["-H", f"Authorization: Bearer {token}"]
    return subprocess.run(command, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10, help="for each operation")
    parser.add_argument("--as", dest="visitors", action="append", choices=VISITORS)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="activelog-fuzz-"))
    try:
        with EmbeddedPostgres(folder / "postgres", durable=False) as server:
            migrate(server.url())
            with running_api(server.url(), folder) as address:
                with psycopg.connect(server.url(), autocommit=True) as conn:
                    password = auth.hash_password(secrets.token_urlsafe())
                    people: dict[str, str | None] = {"nobody": None}
                    for name, is_admin in (("a user", False), ("an admin", True)):
                        row = conn.execute(
                            USER, [f"{name[-4:]}@example.com", password, is_admin]
                        ).fetchone()
                        assert row is not None
                        people[name] = auth.make_token(
                            SECRET, "session", str(row[0]), datetime.now(UTC)
                        )[0]
                codes = [
                    fuzz(address, name, people[name], arguments.examples)
                    for name in arguments.visitors or VISITORS
                ]
            log = (folder / "api.log").read_text()
            print(f"{log.count('Traceback')} tracebacks in the log of the API")
            return int(any(codes) or "Traceback" in log)
    finally:
        remove_data(folder / "postgres")


if __name__ == "__main__":
    sys.exit(main())
