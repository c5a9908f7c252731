from collections.abc import Mapping
from datetime import datetime

from psycopg.types.json import Jsonb

from activelog import db
from activelog.db import Conn

_SQL = db.queries("runs")


async def start(conn: Conn, task_name: str, tick: datetime | None, job_id: int) -> int:
    params = {"task_name": task_name, "tick": tick, "job_id": job_id}
    return int(await db.value(conn, _SQL["start"], params))


async def finish(
    conn: Conn, run_id: int, outcome: str, counts: Mapping[str, int], error: str | None
) -> None:
    params = {"id": run_id, "outcome": outcome, "counts": Jsonb(dict(counts)), "error": error}
    await db.execute(conn, _SQL["finish"], params)


async def forget(conn: Conn, run_id: int) -> None:
    await db.execute(conn, _SQL["forget"], {"id": run_id})
