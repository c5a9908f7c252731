from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from activelog import database
from activelog.base import logs
from activelog.database import Conn
from activelog.mail.model import LISTS, Bounce, Bounced, Claim, MailKind, MailWanted, Outcome

_SQL = database.queries("mail")


async def write(
    conn: Conn,
    kind: MailKind,
    user_id: int,
    dedup_key: str,
    message_id: str,
    address: str | None,
) -> None:
    params = _new(kind, user_id, dedup_key, message_id) | {"address": address}
    await database.execute(conn, _SQL["write"], params)


async def write_gathered(
    conn: Conn, kind: MailKind, user_id: int, dedup_key: str, message_id: str, pause: timedelta
) -> bool:
    """False if one of the kind waits."""
    params = _new(kind, user_id, dedup_key, message_id) | {"pause": pause}
    return await database.value(conn, _SQL["write_gathered"], params) is not None


async def write_digests(
    conn: Conn,
    kind: MailKind,
    user_ids: Sequence[int],
    dedup_key: str,
    delay: timedelta,
    domain: str,
) -> None:
    params = {
        "user_ids": list(user_ids),
        "kind": kind.name,
        "task": kind.task,
        "queue": kind.queue,
        "dedup_key": dedup_key,
        "delay": delay,
        "domain": domain,
    }
    await database.execute(conn, _SQL["write_digests"], params)


async def claim(conn: Conn, wanted: Sequence[MailWanted]) -> list[Claim | None]:
    """None where nothing is left to do, or another job is at it."""
    asked = [
        _key(want.kind, want.user_id, want.dedup_key)
        | {
            "job_id": want.job_id,
            "message_id": want.message_id,
            "list": want.kind.list,
            "cap": want.kind.cap,
        }
        for want in wanted
    ]
    found = await database.many(conn, _SQL["claim"], {"wanted": database.records(asked)}, Claim)
    claims = {(claim.job_id, claim.kind, claim.user_id, claim.dedup_key): claim for claim in found}
    return [
        claims.get((want.job_id, want.kind.name, want.user_id, want.dedup_key)) for want in wanted
    ]


async def finish(conn: Conn, outcomes: Sequence[Outcome]) -> Sequence[None]:
    ended = [asdict(outcome) for outcome in outcomes]
    await database.execute(conn, _SQL["finish"], {"outcomes": database.records(ended)})
    return [None] * len(outcomes)


async def unclaim(conn: Conn, mail_id: int, attempts: int | None = None) -> None:
    """`attempts`: of the claim, so that a run that was thought dead takes no later one back."""
    await database.execute(conn, _SQL["unclaim"], {"id": mail_id, "attempts": attempts})


async def suppress(conn: Conn, address: str, answer: str) -> None:
    await database.execute(conn, _SQL["suppress"], {"address": address, "answer": answer})


async def note_bounce(conn: Conn, bounce: Bounce) -> Bounced | None:
    """None when it is of no mail that is here."""
    params = {
        "id": bounce.mail_id,
        "message_id": bounce.message_id,
        "bounce": bounce.kind,
        "said": bounce.said,
    }
    return await database.one(conn, _SQL["note_bounce"], params, Bounced)


async def most_are_refused(conn: Conn) -> bool:
    return bool(await database.value(conn, _SQL["most_are_refused"], {}))


async def lift_latest(conn: Conn) -> None:
    await database.execute(conn, _SQL["lift_latest"], {})


async def is_refused_again(conn: Conn, mail_id: int, address: str, answer: str) -> bool:
    params = {"id": mail_id, "address": address, "answer": answer}
    return bool(await database.value(conn, _SQL["is_refused_again"], params))


async def unsuppress(conn: Conn, address: str) -> bool:
    """False when it was not suppressed."""
    return await database.execute(conn, _SQL["unsuppress"], {"address": address}) == 1


async def take_turn(
    conn: Conn, mail_id: int, lane: str, per_second: float, patience: float
) -> float:
    """Seconds until the mail may go out; when it is more than `patience`, its turn is kept."""
    params = {"id": mail_id, "lane": lane, "per_second": per_second, "patience": patience}
    return float(await database.value(conn, _SQL["take_turn"], params))


async def take_domain_turn(conn: Conn, mail_id: int, domain: str) -> float:
    """Seconds until the mail may go to that domain."""
    params = {"id": mail_id, "domain": domain}
    return float(await database.value(conn, _SQL["take_domain_turn"], params))


async def slow_domains(conn: Conn) -> frozenset[str]:
    cursor = await conn.execute(_SQL["slow_domains"])
    return frozenset(domain for (domain,) in await cursor.fetchall())


async def slow_domain(conn: Conn, domain: str, answer: str) -> None:
    await database.execute(conn, _SQL["slow_domain"], {"domain": domain, "answer": answer})


async def speed_domain(conn: Conn, domain: str) -> None:
    await database.execute(conn, _SQL["speed_domain"], {"domain": domain})


async def preferences(conn: Conn, user_id: int) -> dict[str, bool]:
    cursor = await conn.execute(_SQL["preferences"], {"user_id": user_id})
    return dict.fromkeys(LISTS, True) | dict(await cursor.fetchall())


async def set_preferences(conn: Conn, user_id: int, wanted: Mapping[str, bool]) -> None:
    params = {"user_id": user_id, "lists": list(wanted), "wanted": list(wanted.values())}
    await database.execute(conn, _SQL["set_preferences"], params)


async def has_user(conn: Conn, user_id: int) -> bool:
    return bool(await database.value(conn, _SQL["has_user"], {"user_id": user_id}))


def _new(kind: MailKind, user_id: int, dedup_key: str, message_id: str) -> dict[str, Any]:
    key = {kind.key: dedup_key} if kind.key else {}
    return _key(kind, user_id, dedup_key) | {
        "message_id": message_id,
        "task": kind.task,
        "queue": kind.queue,
        "args": Jsonb({"user_id": user_id, **key, **logs.origin()}),
    }


def _key(kind: MailKind, user_id: int, dedup_key: str) -> dict[str, Any]:
    return {"kind": kind.name, "user_id": user_id, "dedup_key": dedup_key}
