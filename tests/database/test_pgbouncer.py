"""Behind PgBouncer, in both of its modes, with its defaults."""

import itertools
import os
from dataclasses import replace
from typing import Any

import anyio
import pytest

from activelog.base.settings import Settings
from activelog.database.migrations import migrate
from tests.conftest import missing, running
from tests.exports.test_csv_export import request
from tests.imports.test_import import finish
from tests.processes import until, worker
from tests.real.pgbouncer import is_installed, pgbouncer

pytestmark = pytest.mark.slow
_PORTS = itertools.count(18400 + os.getpid() % 1000)


@pytest.fixture(params=["session", "transaction"])
def pooled(request: pytest.FixtureRequest, settings: Settings) -> Any:
    if not is_installed():
        missing("PgBouncer")
    with pgbouncer(settings.database_url, request.param, next(_PORTS)) as url:
        direct = settings.database_url if request.param == "transaction" else None
        yield replace(settings, database_url=url, database_direct_url=direct)


async def test_an_export_from_the_request_to_the_mail(pooled: Settings) -> None:
    async with running(pooled) as world:
        ada = await world.user()
        for _ in range(20):  # more often than after which statements are prepared
            await ada.log()
        status = await finish(ada, await request(ada))
        assert status["status"] == "completed", status
        assert status["result"]["record_count"] == 20
        assert "export" in world.mails(ada.address)[-1]["Subject"].lower()


async def test_a_worker_hears_of_a_job_at_once_and_an_event_stream_of_its_end(
    pooled: Settings, environment: dict[str, str]
) -> None:
    env = environment | {"ACTIVELOG_DATABASE_URL": pooled.database_url}
    if pooled.database_direct_url:
        env["ACTIVELOG_DATABASE_DIRECT_URL"] = pooled.database_direct_url
    async with running(pooled) as world:
        ada = await world.user()
        await ada.log()
        with worker(env):
            await world.until("SELECT count(*) > 0 FROM our_workers")
            job = await request(ada)
            with anyio.fail_after(10):
                followed = await ada.get(f"{job['status_url']}/events")
            assert '"status":"completed"' in followed.text


def test_migrating_through_it_twice(pooled: Settings) -> None:
    assert migrate(pooled.direct_url) == []
    assert migrate(pooled.direct_url) == []


def test_a_killed_worker_is_rescued(pooled: Settings, environment: dict[str, str]) -> None:
    import psycopg

    env = environment | {"ACTIVELOG_DATABASE_URL": pooled.database_url}
    if pooled.database_direct_url:
        env["ACTIVELOG_DATABASE_DIRECT_URL"] = pooled.database_direct_url
    alive = "SELECT count(*) FROM our_workers"
    with psycopg.connect(pooled.direct_url, autocommit=True) as conn, worker(env) as first:
        until(lambda: conn.execute(alive).fetchone() == (1,), "the first worker")
        first.kill()
        with worker(env):
            until(lambda: conn.execute(alive).fetchone() == (1,), "the second worker alone")
