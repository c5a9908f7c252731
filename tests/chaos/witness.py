"""`PROCRASTINATE_APP=tests.chaos.witness.app`: the product's tasks, and one that writes down when
each of its runs began and ended."""

import asyncio
import os

from activelog import jobs
from activelog.base.settings import Settings
from activelog.queue import App, Backoff, Blueprint, Context
from activelog.services import of_job

TABLE = """
CREATE TABLE IF NOT EXISTS witness_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL,
    pid int NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz)"""

blueprint = Blueprint()


@blueprint.job("chaos.witness", queue="default", retry=Backoff(retries=20, base=1, cap=5))
async def witness(context: Context, seconds: float) -> None:
    """A second run is what it is there to see."""
    pool = of_job(context).pool
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "INSERT INTO witness_runs (job_id, pid) VALUES (%s, %s) RETURNING id",
            [context.job.id, os.getpid()],
        )
        [run_id] = await cursor.fetchone() or [None]
    await asyncio.sleep(seconds)
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE witness_runs SET ended_at = clock_timestamp() WHERE id = %s", [run_id]
        )


def make() -> App:
    app = jobs.make_app(Settings.from_env(os.environ))
    app.add(blueprint)
    return app


def __getattr__(name: str) -> App:
    """As in activelog.jobs: importing this module reads no environment."""
    if name != "app":
        raise AttributeError(name)
    return make()
