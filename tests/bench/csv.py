"""CSV downloads and exports against psql, which makes the same columns by COPY."""

import csv
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from activelog.base import auth
from activelog.local.embedded import package_binaries
from tests.bench.data import make_user
from tests.bench.http import PORT, SECRET, api
from tests.bench.measure import Place, Result, median, places
from tests.processes import PYTHON
from tests.real import radosgw

ROUNDS, ROWS, FEW = 3, 1_000_000, 10_000
S3_PORT = 17980
PATH = f"http://127.0.0.1:{PORT}/api/v1/activities/export/csv/download"

COPY = """
COPY (SELECT id, activity_type, duration_minutes, distance_km,
             replace((activity_date AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z' AS activity_date,
             array_to_string(tags, ',') AS tags, notes
      FROM activities a WHERE user_id = {user_id} AND deleted_at IS NULL
      ORDER BY a.activity_date DESC, a.id DESC) TO STDOUT (FORMAT csv, HEADER)"""
PLAIN = """
SELECT id, activity_type, duration_minutes, distance_km, activity_date, tags, notes
FROM activities WHERE user_id = {user_id} AND deleted_at IS NULL
ORDER BY activity_date DESC, id DESC"""
# What the usual schema makes of it: a table of tags, and a correlated string_agg for each row.
TAG_TABLE = """
CREATE TABLE IF NOT EXISTS activity_tags (activity_id bigint, tag text);
INSERT INTO activity_tags SELECT id, unnest(tags) FROM activities WHERE user_id = {user_id};
CREATE INDEX ON activity_tags (activity_id);
ANALYZE activity_tags"""
USUAL = """
COPY (SELECT id, activity_type, duration_minutes, distance_km,
             to_char(activity_date, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS activity_date,
             (SELECT string_agg(tag, ',') FROM activity_tags t WHERE t.activity_id = a.id) AS tags,
             notes
      FROM activities a WHERE user_id = {user_id} AND deleted_at IS NULL
      ORDER BY a.activity_date DESC, a.id DESC) TO STDOUT (FORMAT csv, HEADER)"""


def measure() -> Iterator[Result]:
    with places() as (ours, _), tempfile.TemporaryDirectory(prefix="activelog-bench-") as name:
        folder = Path(name)
        many = make_user(ours, "many@example.com", ROWS)
        few = make_user(ours, "few@example.com", FEW)
        copy = COPY.format(user_id=many)
        with api(ours, folder) as pid:
            yield from _downloads(ours, folder, copy, many)
            yield _memory(pid, few, many)
        yield from _jobs(ours, folder, copy, few, many)
        if radosgw.is_installed():
            yield _s3_memory(ours, folder, few, many)
        yield _query(ours, folder, copy, many)


def _plain(place: Place, folder: Path, user_id: int) -> float:
    """MB/s of what anybody would write: typed columns, fetchmany, csv.writer."""
    began = time.perf_counter()
    with psycopg.connect(place.url) as conn, conn.cursor("plain") as cursor:
        cursor.execute(PLAIN.format(user_id=user_id))
        with (folder / "plain.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            while rows := cursor.fetchmany(1000):
                writer.writerows([(*row[:5], ",".join(row[5]), row[6]) for row in rows])
            size = file.tell()
    return size / (time.perf_counter() - began) / 1e6


def _downloads(place: Place, folder: Path, copy: str, user_id: int) -> Iterator[Result]:
    ours, psql, plain, our_first, psql_first = [], [], [], [], []
    for _ in range(ROUNDS):
        first, seconds, size = _http(user_id)
        ours.append(size / seconds / 1e6)
        our_first.append(first * 1000)
        first, seconds, size = _psql(place, folder, copy)
        psql.append(size / seconds / 1e6)
        psql_first.append(first * 1000)
        plain.append(_plain(place, folder, user_id))
    note = f"{ROWS:,} activities with tags; the client, the API and Postgres share 2 cores"
    yield Result("csv.http_vs_copy", median(ours), "MB/s", median(psql), True, note)
    note = "typed columns, fetchmany(1000) and csv.writer to a file, as anybody would write it"
    yield Result("csv.http_vs_plain", median(ours), "MB/s", median(plain), True, note)
    note = "until the first byte of the body, the request or the connection included"
    yield Result("csv.first_byte", median(our_first), "ms", median(psql_first), False, note)


def _memory(pid: int, few: int, many: int) -> Result:
    """Peak memory of the API after a large download against that after a small one, plus 10 MB."""
    small = _peak(pid, few)
    large = _peak(pid, many)
    note = f"peak with {ROWS:,} rows; against the peak with {FEW:,} and 10 MB more"
    return Result("csv.memory", large, "MB", small + 10, False, note)


def _peak(pid: int, user_id: int) -> float:
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak starts anew
    _http(user_id)
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _jobs(place: Place, folder: Path, copy: str, few: int, many: int) -> Iterator[Result]:
    """The export job, to a folder; against psql to a file."""
    ours, psql, peaks = [], [], []
    for _ in range(ROUNDS):
        size, seconds, peak = _job(place, folder, many)
        ours.append(size / seconds / 1e6)
        peaks.append(peak)
        _, seconds, size = _psql(place, folder, copy)
        psql.append(size / seconds / 1e6)
    note = "a run of the export's job: count, write, hash, store, verify, complete, announce"
    yield Result("csv.job_vs_copy", median(ours), "MB/s", median(psql), True, note)
    _, _, small = _job(place, folder, few)
    note = f"the job's peak with {ROWS:,} rows; against the peak with {FEW:,} and 10 MB more"
    yield Result("csv.job_memory", median(peaks), "MB", small + 10, False, note)


def _s3_memory(place: Place, folder: Path, few: int, many: int) -> Result:
    """The same job to a real S3 server, which takes the file in parts."""
    with radosgw.radosgw(folder / "radosgw", S3_PORT) as server:
        _, _, small = _job(place, folder, few, server.storage_url)
        size, seconds, large = _job(place, folder, many, server.storage_url)
    note = f"the same with an object store: {size / 1e6:.0f} MB at {size / seconds / 1e6:.0f} MB/s"
    return Result("csv.s3_job_memory", large, "MB", small + 10, False, note)


def _job(
    place: Place, folder: Path, user_id: int, storage_url: str | None = None
) -> tuple[int, float, float]:
    """Bytes, seconds, peak MB."""
    env = _environment(place, folder)
    env["ACTIVELOG_STORAGE_URL"] = storage_url or env["ACTIVELOG_STORAGE_URL"]
    done = subprocess.run(
        [PYTHON, "-m", "tests.bench.csv_job", str(user_id)],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    size, seconds, peak = done.stdout.split()
    return int(size), float(seconds), float(peak)


def _query(place: Place, folder: Path, copy: str, user_id: int) -> Result:
    for statement in TAG_TABLE.format(user_id=user_id).split(";"):
        place.execute(statement)
    ours, usual = [], []
    for _ in range(ROUNDS):
        ours.append(ROWS / _psql(place, folder, copy)[1])
        usual.append(ROWS / _psql(place, folder, USUAL.format(user_id=user_id))[1])
    note = "tags in the row against a correlated string_agg over a table of tags, by psql"
    return Result("csv.query_vs_string_agg", median(ours), "rows/s", median(usual), True, note)


def _http(user_id: int) -> tuple[float, float, int]:
    """Seconds to the first byte and to the last, and the size."""
    token, _ = auth.make_token(SECRET, "session", str(user_id), datetime.now(UTC))
    request = urllib.request.Request(PATH, headers={"Authorization": f"Bearer {token}"})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as response:
        size = len(response.read(1))
        first = time.perf_counter() - began
        while chunk := response.read(1 << 18):
            size += len(chunk)
    return first, time.perf_counter() - began, size


def _psql(place: Place, folder: Path, copy: str) -> tuple[float, float, int]:
    script = folder / "copy.sql"
    script.write_text("SET timezone TO 'UTC';\n" + copy + ";\n")
    began = time.perf_counter()
    process = subprocess.Popen(
        [package_binaries() / "bin" / "psql", "-X", "-q", "-f", script, place.url],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    size = len(process.stdout.read(1))
    first = time.perf_counter() - began
    while chunk := process.stdout.read(1 << 18):
        size += len(chunk)
    assert process.wait() == 0
    return first, time.perf_counter() - began, size


def _environment(place: Place, folder: Path) -> dict[str, str]:
    return dict(os.environ) | {
        "ACTIVELOG_DATABASE_URL": place.url,
        "ACTIVELOG_SECRET": SECRET,
        "ACTIVELOG_STORAGE_URL": folder.as_uri(),
        "ACTIVELOG_SMTP_URL": folder.as_uri(),
    }
