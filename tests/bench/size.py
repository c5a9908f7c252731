"""One person's requests beside fifty million activities of fifty thousand people, against the same
beside one million of one thousand: each may take 1.2 times as long. A person's thousand activities
lie far apart in the table, as they do in life."""

import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import psycopg

from activelog.base import auth
from activelog.database.migrations import migrate
from tests.bench.data import quietly
from tests.bench.http import ACTIVITY, PORT, SECRET, api
from tests.bench.measure import Place, Result, median, places

FEW, MANY, EACH = 1_000_000, 50_000_000, 1_000
ASKED, MARGIN = 200, 1.2

USERS = """
INSERT INTO users (email, name, password_hash, verified_at)
SELECT n || '@example.com', 'Ada', 'none', now() FROM generate_series(1, %s) AS n"""

# One a day of each person, the days of all people one after the other.
ACTIVITIES = """
INSERT INTO activities (user_id, activity_date, duration_minutes, distance_km, activity_type, notes,
                        tags, calories)
SELECT n %% %s + 1, date_trunc('day', now()) - interval '1000 days' + n / %s * interval '1 day'
           + n %% 1000 * interval '1 minute',
       n %% 180, round((n %% 42195)::numeric / 1000, 3),
       (ARRAY['running', 'ride', 'yoga', 'swim'])[n %% 4 + 1],
       CASE WHEN n %% 3 = 0 THEN 'Morning run number ' || n ELSE '' END,
       (ARRAY['morning', 'outdoor', 'cardio', 'hills', 'with friends'])[1 : n %% 4], n %% 900
FROM generate_series(0, %s - 1) AS n"""

DAYS = """
INSERT INTO daily_stats (day, user_id, activities, minutes, kilometres, calories, by_type)
SELECT local_time::date, user_id, count(*), sum(duration_minutes), sum(distance_km), sum(calories),
       '{"running": [1, 30, 5.0]}'
FROM activities GROUP BY 1, 2 ORDER BY 1, 2"""

REQUESTS = {
    "create": ("POST", "/api/v1/activities"),
    "list": ("GET", "/api/v1/activities"),
    "list_of_a_tag": ("GET", "/api/v1/activities?tag=hills"),
    "list_of_a_month": ("GET", "/api/v1/activities?start_date={month}-01&end_date={month}-28"),
    "statistics": ("GET", "/api/v1/stats/monthly"),
    "year": ("GET", "/api/v1/stats/year"),
    "export": ("GET", "/api/v1/activities/export/csv/download"),
}


def measure() -> Iterator[Result]:
    with places() as (many, stock), tempfile.TemporaryDirectory(prefix="activelog-bench-") as name:
        few = _beside(stock)
        _fill(few, FEW)
        _fill(many, MANY)
        with ExitStack() as stack:
            stack.enter_context(api(few, Path(name), PORT + 1))
            stack.enter_context(api(many, Path(name)))
            for case, (method, path) in REQUESTS.items():
                yield _compare(case, method, path)


def _beside(stock: Place) -> Place:
    """A second database of ours on the same server, in place of the stock engine's."""
    with psycopg.connect(stock.server.url("postgres"), autocommit=True) as conn:
        conn.execute("DROP DATABASE stock")
        conn.execute("CREATE DATABASE stock")
    migrate(stock.url)
    return stock


def _fill(place: Place, activities: int) -> None:
    people = activities // EACH
    quietly(place, USERS, people)
    with psycopg.connect(place.url, autocommit=True) as conn:
        conn.execute("SET maintenance_work_mem = '1GB'")
        indexes = conn.execute(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE tablename = 'activities' AND indexname <> 'activities_pkey'"
        ).fetchall()
        for index, _ in indexes:
            conn.execute(f"DROP INDEX {index}")
        quietly(place, ACTIVITIES, people, people, activities)
        for _, definition in indexes:
            conn.execute(definition)
    quietly(place, DAYS)
    place.execute("UPDATE stats_progress SET computed_until = now()::date")
    place.execute("VACUUM ANALYZE")


def _compare(case: str, method: str, path: str) -> Result:
    """Of people who are drawn by lot, asked for in turns."""
    lot, few, many = Random(1), [], []
    for _ in range(ASKED):
        few.append(_ask(PORT + 1, lot.randint(1, FEW // EACH), method, path))
        many.append(_ask(PORT, lot.randint(1, MANY // EACH), method, path))
    note = f"{MANY:,} activities; against {MARGIN} times as long as with {FEW:,}"
    return Result(f"size.{case}", median(many), "ms", MARGIN * median(few), False, note)


def _ask(port: int, user_id: int, method: str, path: str) -> float:
    """Milliseconds to the last byte."""
    token, _ = auth.make_token(SECRET, "session", str(user_id), datetime.now(UTC))
    path = path.format(month=f"{datetime.now(UTC).year - 1}-07")
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        ACTIVITY.encode() if method == "POST" else None,
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method=method,
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as response:
        response.read()
    return (time.perf_counter() - began) * 1000
