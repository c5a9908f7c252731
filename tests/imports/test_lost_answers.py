"""The connection breaks when Postgres has committed and has not yet said so."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.conftest import World
from tests.imports.test_import import HEADER, finish

ROW = "1,running,45,7.5,2024-01-15T06:30:00Z,,\r\n"
WAITS = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'"


@contextmanager
def commits_without_answers(url: str) -> Iterator[None]:
    """Of new connections: each has happened, and waits for a standby that does not exist."""
    with psycopg.connect(url, autocommit=True) as conn:
        name = conn.info.dbname
        conn.execute(f"ALTER DATABASE {name} SET synchronous_commit = 'on'".encode())
        conn.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        conn.execute("SELECT pg_reload_conf()")
        conn.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        try:
            yield
        finally:
            conn.execute("ALTER SYSTEM RESET synchronous_standby_names")
            conn.execute("SELECT pg_reload_conf()")


async def test_an_import_that_may_be_accepted_keeps_its_file(world: World) -> None:
    ada = await world.user()
    keyed = {"Idempotency-Key": "mine"}
    with commits_without_answers(world.settings.database_url):
        request = asyncio.create_task(
            ada.post("/api/v1/activities/import", content=HEADER + ROW, headers=keyed)
        )
        await world.until(f"SELECT EXISTS (SELECT {WAITS})")
        await world.rows(f"SELECT pg_terminate_backend(pid) {WAITS}")
        assert (await request).status_code == 503
    again = await ada.post("/api/v1/activities/import", content=HEADER + ROW, headers=keyed)
    assert again.status_code == 202
    job = await finish(ada, again.json())
    assert job["status"] == "completed", job
    assert job["result"]["imported"] == 1
