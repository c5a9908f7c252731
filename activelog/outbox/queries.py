from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from activelog import db
from activelog.db import Conn
from activelog.mail import Recipient

_SQL = db.queries("outbox")


@dataclass(frozen=True)
class Kind:
    """A kind of mail: its templates' folder, the task that sends it and that task's queue."""

    name: str
    task: str
    queue: str


@dataclass(frozen=True)
class Claim:
    id: int
    message_id: str


async def write(
    conn: Conn,
    kind: Kind,
    user_id: int,
    message_id: str,
    *,
    occasion: str = "",
    args: dict[str, str] | None = None,
) -> bool:
    """Writes the mail and defers `kind.task(user_id=…, **args)`. False if it was there before."""
    params = _key(kind, user_id, occasion) | {
        "message_id": message_id,
        "task": kind.task,
        "queue": kind.queue,
        "args": Jsonb({"user_id": user_id, **(args or {})}),
    }
    return await db.value(conn, _SQL["write"], params) is not None


async def claim(
    conn: Conn, kind: Kind, user_id: int, occasion: str, message_id: str
) -> Claim | None:
    """None when the mail is not to be sent (again). `message_id` is for a mail without a row."""
    params = _key(kind, user_id, occasion) | {"message_id": message_id}
    return await db.one(conn, _SQL["claim"], params, Claim)


async def finish(conn: Conn, mail_id: int, state: str, answer: str, size: int | None) -> None:
    params = {"id": mail_id, "state": state, "answer": answer, "size": size}
    await db.execute(conn, _SQL["finish"], params)


async def skip(conn: Conn, kind: Kind, user_id: int, occasion: str) -> None:
    await db.execute(conn, _SQL["skip"], _key(kind, user_id, occasion))


async def recipient(conn: Conn, user_id: int) -> Recipient | None:
    return await db.one(conn, _SQL["recipient"], {"user_id": user_id}, Recipient)


def _key(kind: Kind, user_id: int, occasion: str) -> dict[str, Any]:
    return {"kind": kind.name, "user_id": user_id, "occasion": occasion}
