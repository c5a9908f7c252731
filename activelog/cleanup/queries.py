from dataclasses import dataclass
from datetime import datetime

from activelog import db
from activelog.db import Conn

_SQL = db.queries("cleanup")


@dataclass(frozen=True)
class Page:
    last_id: int | None
    deleted: int


async def retire_jobs(
    conn: Conn, after: int, *, page: int, succeeded_days: int, failed_days: int
) -> Page:
    params = {
        "after": after,
        "page": page,
        "succeeded_days": succeeded_days,
        "failed_days": failed_days,
    }
    found = await db.one(conn, _SQL["retire_jobs"], params, Page)
    assert found is not None
    return found


# Each deletes a page of rows and says how many.


async def delete_activities(conn: Conn, now: datetime, page: int) -> int:
    return await db.execute(conn, _SQL["delete_activities"], {"now": now, "page": page})


async def delete_verifications(conn: Conn, now: datetime, page: int) -> int:
    return await db.execute(conn, _SQL["delete_verifications"], {"now": now, "page": page})


async def delete_unverified(conn: Conn, now: datetime, page: int) -> int:
    return await db.execute(conn, _SQL["delete_unverified"], {"now": now, "page": page})


async def delete_keys(conn: Conn, now: datetime, page: int) -> int:
    return await db.execute(conn, _SQL["delete_keys"], {"now": now, "page": page})


async def delete_limits(conn: Conn, now: datetime, page: int) -> int:
    return await db.execute(conn, _SQL["delete_limits"], {"now": now, "page": page})


async def delete_runs(conn: Conn, now: datetime, page: int) -> int:
    return await db.execute(conn, _SQL["delete_runs"], {"now": now, "page": page})


async def give_up_mails(conn: Conn, now: datetime, page: int) -> int:
    return await db.execute(conn, _SQL["give_up_mails"], {"now": now, "page": page})


async def delete_counts(conn: Conn, now: datetime, page: int) -> int:
    return await db.execute(conn, _SQL["delete_counts"], {"now": now, "page": page})


async def delete_depths(conn: Conn, now: datetime, page: int) -> int:
    return await db.execute(conn, _SQL["delete_depths"], {"now": now, "page": page})


async def delete_resets(conn: Conn, now: datetime, page: int) -> int:
    return await db.execute(conn, _SQL["delete_resets"], {"now": now, "page": page})


async def delete_words(conn: Conn, now: datetime, page: int) -> int:
    return await db.execute(conn, _SQL["delete_words"], {"page": page})


async def expired_exports(conn: Conn, now: datetime, page: int) -> list[str]:
    """Keys of objects that are still there."""
    cursor = await conn.execute(_SQL["expired_exports"], {"now": now, "page": page})
    return [key for (key,) in await cursor.fetchall()]


async def mark_removed(conn: Conn, keys: list[str]) -> None:
    await db.execute(conn, _SQL["mark_removed"], {"keys": keys})


async def fold_counts(conn: Conn) -> None:
    """The lines that writers of job counts have for themselves into one; the sums stay the same."""
    await db.execute(conn, _SQL["fold_counts"], {})


async def orphans(conn: Conn, keys: list[str]) -> list[str]:
    """Those of the keys that no row knows."""
    cursor = await conn.execute(_SQL["orphans"], {"keys": keys})
    return [key for (key,) in await cursor.fetchall()]


async def close_accounts(conn: Conn, now: datetime, page: int) -> list[int]:
    """Those whose time has come; nobody can restore them any more."""
    cursor = await conn.execute(_SQL["close_accounts"], {"now": now, "page": page})
    return [user_id for (user_id,) in await cursor.fetchall()]


async def delete_accounts_traces(conn: Conn, user_ids: list[int]) -> None:
    """Their jobs, figures and suppressed addresses: what no foreign key takes along."""
    params = {"user_ids": user_ids}
    await db.execute(conn, _SQL["delete_accounts_jobs"], params)
    await db.execute(conn, _SQL["delete_accounts_stats"], params)
    await db.execute(conn, _SQL["delete_accounts_addresses"], params)


async def delete_accounts_activities(conn: Conn, user_ids: list[int], page: int) -> int:
    params = {"user_ids": user_ids, "page": page}
    return await db.execute(conn, _SQL["delete_accounts_activities"], params)


async def delete_accounts(conn: Conn, user_ids: list[int]) -> int:
    """With all that is left of them."""
    return await db.execute(conn, _SQL["delete_accounts"], {"user_ids": user_ids})
