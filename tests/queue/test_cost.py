"""What a worker asks of Postgres, as the server's log has it."""

import re
import time
from collections.abc import Callable

import pytest

from activelog.local.embedded import EmbeddedPostgres
from tests.queue.conftest import Queue

pytestmark = pytest.mark.slow

Statements = Callable[[], list[str]]


@pytest.fixture
def statements(queue: Queue, postgres: EmbeddedPostgres) -> Statements:
    """Those of workers since the last call."""
    [(name,)] = queue.all("SELECT current_database()")
    queue.all("ALTER SYSTEM SET log_line_prefix = '%%d|%%a|'")
    queue.all("SELECT pg_reload_conf()")
    queue.all(f"ALTER DATABASE {name} SET log_statement = 'all'")
    seen = 0

    def read() -> list[str]:
        nonlocal seen
        log = postgres.log.read_text(errors="replace")
        new, seen = log[seen:], len(log)
        entries = re.split(r"\n(?!\t)", new)  # a tab continues one
        return [one for one in entries if one.startswith(f"{name}|activelog") and "execute" in one]

    return read


def test_an_idle_worker_asks_little(queue: Queue, statements: Statements) -> None:
    with queue.worker("--fetch-job-polling-interval", "5"):
        queue.until_workers(1)
        time.sleep(7)  # it has come to rest
        statements()
        time.sleep(10)
        asked = statements()
        held = queue.all(
            "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name LIKE 'activelog%%'"
        )
    assert len(asked) <= 15, "\n".join(asked)
    assert len(held) <= 4, held


def test_a_lone_job_takes_three_statements(queue: Queue, statements: Statements) -> None:
    with queue.worker():
        queue.until_workers(1)
        time.sleep(2)
        statements()
        queue.until_status(queue.defer("noop"), "succeeded")
        time.sleep(2)
        asked = [
            word
            for statement in statements()
            for word in ("claim_jobs(", "finish_jobs(", "INTO job_outcomes", "waiting_queues(")
            if word in statement
        ]
    assert asked == ["claim_jobs(", "finish_jobs(", "INTO job_outcomes"]
