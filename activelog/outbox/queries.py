from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from activelog import db, logs
from activelog.db import Conn
from activelog.outbox.model import LISTS, Claim, Kind, MailWanted, Outcome

_SQL = db.queries("outbox")


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
        "args": Jsonb({"user_id": user_id, **(args or {}), **logs.origin()}),
    }
    return await db.value(conn, _SQL["write"], params) is not None


async def gather(
    conn: Conn, kind: Kind, user_ids: Sequence[int], occasion: str, delay: timedelta, domain: str
) -> int:
    """Writes a mail to each user who has none of the kind waiting, and defers
    `kind.task(user_id=…, occasion=…)` for `delay` later: it tells all that is new by then."""
    params = {
        "user_ids": list(user_ids),
        "kind": kind.name,
        "task": kind.task,
        "queue": kind.queue,
        "occasion": occasion,
        "delay": delay,
        "domain": domain,
    }
    return int(await db.value(conn, _SQL["gather"], params))


async def claim(conn: Conn, wanted: Sequence[MailWanted]) -> list[Claim | None]:
    """None where nothing is left to do, or another job is at it."""
    asked = [
        _key(want.kind, want.user_id, want.occasion)
        | {
            "job_id": want.job_id,
            "message_id": want.message_id,
            "list": want.kind.list,
            "cap": want.kind.cap,
        }
        for want in wanted
    ]
    found = await db.many(conn, _SQL["claim"], {"wanted": db.records(asked)}, Claim)
    claims = {(claim.job_id, claim.kind, claim.user_id, claim.occasion): claim for claim in found}
    return [
        claims.get((want.job_id, want.kind.name, want.user_id, want.occasion)) for want in wanted
    ]


async def finish(conn: Conn, outcomes: Sequence[Outcome]) -> Sequence[None]:
    ended = [asdict(outcome) for outcome in outcomes]
    await db.execute(conn, _SQL["finish"], {"outcomes": db.records(ended)})
    return [None] * len(outcomes)


async def unclaim(conn: Conn, mail_id: int) -> None:
    await db.execute(conn, _SQL["unclaim"], {"id": mail_id})


async def skip(conn: Conn, kind: Kind, user_id: int, occasion: str) -> None:
    await db.execute(conn, _SQL["skip"], _key(kind, user_id, occasion))


async def suppress(conn: Conn, address: str, answer: str) -> None:
    await db.execute(conn, _SQL["suppress"], {"address": address, "answer": answer})


async def take_turn(conn: Conn, per_second: float, patience: float) -> float | None:
    """Seconds until a mail may go out; None (and no turn taken) when it is more than `patience`."""
    params = {"per_second": per_second, "patience": patience}
    seconds: float | None = await db.value(conn, _SQL["take_turn"], params)
    return seconds


async def preferences(conn: Conn, user_id: int) -> dict[str, bool]:
    cursor = await conn.execute(_SQL["preferences"], {"user_id": user_id})
    return dict.fromkeys(LISTS, True) | dict(await cursor.fetchall())


async def set_preferences(conn: Conn, user_id: int, wanted: Mapping[str, bool]) -> None:
    params = {"user_id": user_id, "lists": list(wanted), "wanted": list(wanted.values())}
    await db.execute(conn, _SQL["set_preferences"], params)


async def has_user(conn: Conn, user_id: int) -> bool:
    return bool(await db.value(conn, _SQL["has_user"], {"user_id": user_id}))


def _key(kind: Kind, user_id: int, occasion: str) -> dict[str, Any]:
    return {"kind": kind.name, "user_id": user_id, "occasion": occasion}
