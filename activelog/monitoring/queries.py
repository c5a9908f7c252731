from dataclasses import dataclass

from activelog import db
from activelog.db import Conn

_SQL = db.queries("monitoring")


@dataclass(frozen=True)
class Queue:
    queue: str
    waiting: int
    running: int


async def queues(conn: Conn) -> list[Queue]:
    return await db.many(conn, _SQL["queues"], {}, Queue)


async def workers(conn: Conn) -> int:
    return int(await db.value(conn, _SQL["workers"], {}))
