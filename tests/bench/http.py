"""Asking for work over HTTP against pgbench, which runs the stock engine's statements (a row and a
job in one transaction) without any Python: logging an activity (a row and a job), and requesting an
export (a row, a ticket in its group, and a job)."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psycopg

from activelog.base import auth
from activelog.local.embedded import package_binaries
from tests.bench.measure import Place, Result, median
from tests.processes import PYTHON

ROUNDS, SECONDS, CONNECTIONS, USERS = 3, 5, 16, 5_000
PORT = 18_321
SECRET = "a secret of the benchmark, 32 characters"

PGBENCH = """
BEGIN;
INSERT INTO things (user_id, filters) VALUES (1, '{}');
SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('low', 'noop', 0, NULL, NULL, '{"id": 1}', NULL)::procrastinate_job_to_defer_v1]);
END;
"""  # noqa: E501 - pgbench takes a statement a line

WRK = """
local tokens, turn = {}, 0
for token in io.lines("%s") do tokens[#tokens + 1] = token end
request = function()
  turn = turn %% #tokens + 1
  return wrk.format("POST", "%s",
    {["Authorization"] = "Bearer " .. tokens[turn], ["Content-Type"] = "application/json"}, '%s')
end
"""


ACTIVITY = f"""
{{"activity_type": "running", "duration_minutes": 45, "distance_km": 7.5,
  "activity_date": "{datetime.now(UTC):%Y-%m-%d}T00:00:00Z", "tags": ["morning", "outdoor"]}}
""".strip().replace("\n", " ")
ASKED = {
    "queue.http_vs_pgbench": ("/api/v1/activities", ACTIVITY),
    "queue.http_export_vs_pgbench": ("/api/v1/activities/export/csv", '{"include_tags": true}'),
}


def http(ours: Place, stock: Place) -> Iterator[Result]:
    if shutil.which("wrk") is None:
        why = "wrk is not installed: apt-get install wrk"
        print(f"queue.http_vs_pgbench is left out: {why}", file=sys.stderr)
        return
    stock.execute("CREATE TABLE IF NOT EXISTS things (id bigserial, user_id int, filters jsonb)")
    ours.execute("TRUNCATE procrastinate_jobs, users CASCADE")
    with tempfile.TemporaryDirectory(prefix="activelog-bench-") as name, api(ours, Path(name)):
        _make_users(ours, Path(name))
        scripts = {case: _wrk_script(Path(name), *asked) for case, asked in ASKED.items()}
        found: dict[str, list[float]] = {case: [] for case in ASKED}
        slow = []
        for _ in range(ROUNDS):
            for case, script in scripts.items():
                ours.execute("TRUNCATE procrastinate_jobs, job_tickets, activities CASCADE")
                found[case].append(_wrk(script))
            stock.execute("TRUNCATE procrastinate_jobs, things CASCADE")
            slow.append(_pgbench(stock, Path(name)))
    note = f"{CONNECTIONS} connections, one API process that shares 2 cores with wrk and Postgres"
    for case, fast in found.items():
        yield Result(case, median(fast), "req/s", median(slow), True, f"{ASKED[case][0]}, {note}")


@contextmanager
def api(place: Place, folder: Path, port: int = PORT) -> Iterator[int]:
    """Its process id."""
    env = dict(os.environ) | {
        "ACTIVELOG_DATABASE_URL": place.url,
        "ACTIVELOG_SECRET": SECRET,
        "ACTIVELOG_STORAGE_URL": folder.as_uri(),
        "ACTIVELOG_SMTP_URL": folder.as_uri(),
    }
    command = [PYTHON, "-m", "activelog", "api", "--port", str(port)]
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            try:
                urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1)
                break
            except (URLError, OSError):
                time.sleep(0.1)
        if process.poll() is not None:
            raise RuntimeError(f"the API does not start: is port {port} taken?")
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _make_users(place: Place, folder: Path) -> None:
    with psycopg.connect(place.url, autocommit=True) as conn:
        users = conn.execute(
            "INSERT INTO users (email, name, password_hash, verified_at)"
            " SELECT n || '@example.com', 'x', 'none', now() FROM generate_series(1, %s) n"
            " RETURNING id",
            [USERS],
        ).fetchall()
        # Each has a friend, so each activity has its job.
        conn.execute(
            "INSERT INTO friendships (user_id, friend_id)"
            " SELECT id, lead(id, 1, (SELECT min(id) FROM users)) OVER (ORDER BY id) FROM users"
        )
    now = datetime.now(UTC)
    tokens = [auth.make_token(SECRET, "session", str(user_id), now)[0] for (user_id,) in users]
    (folder / "tokens").write_text("\n".join(tokens) + "\n")


def _wrk_script(folder: Path, path: str, body: str) -> Path:
    script = folder / f"{path.rpartition('/')[2]}.lua"
    script.write_text(WRK % (folder / "tokens", path, body))
    return script


def _wrk(script: Path) -> float:
    """Accepted requests per second."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", "-s", script, f"http://127.0.0.1:{PORT}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    if refused:
        raise RuntimeError(f"{refused[1]} requests were refused:\n{done.stdout}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    assert found is not None
    return float(found[1])


def _pgbench(place: Place, folder: Path) -> float:
    script = folder / "stock.sql"
    script.write_text(PGBENCH)
    done = subprocess.run(
        [package_binaries() / "bin" / "pgbench", "-n", "-M", "prepared", "-f", script,
         f"-c{CONNECTIONS}", "-j1", f"-T{SECONDS}", place.url],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    assert found is not None
    return float(found[1])
