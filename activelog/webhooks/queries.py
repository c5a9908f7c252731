from collections.abc import Sequence
from uuid import UUID

from activelog import database
from activelog.database import Conn
from activelog.webhooks.model import Delivery, Due, Webhook

_SQL = database.queries("webhooks")


async def add(conn: Conn, webhook_id: UUID, user_id: int, url: str, events: Sequence[str]) -> bool:
    """False when there are ten already. Raises UniqueViolation for an address that is there."""
    params = {"id": webhook_id, "user_id": user_id, "url": url, "events": list(events)}
    async with conn.transaction():
        await database.execute(conn, _SQL["lock_owner"], {"user_id": user_id})
        return await database.execute(conn, _SQL["add"], params) == 1


async def webhooks(conn: Conn, user_id: int) -> list[Webhook]:
    return await database.many(conn, _SQL["webhooks"], {"user_id": user_id}, Webhook)


async def remove(conn: Conn, user_id: int, webhook_id: UUID) -> bool:
    params = {"id": webhook_id, "user_id": user_id}
    return await database.execute(conn, _SQL["remove"], params) == 1


async def enable(conn: Conn, user_id: int, webhook_id: UUID) -> bool:
    params = {"id": webhook_id, "user_id": user_id}
    return await database.execute(conn, _SQL["enable"], params) == 1


async def deliveries(conn: Conn, user_id: int) -> list[Delivery]:
    return await database.many(conn, _SQL["deliveries"], {"user_id": user_id}, Delivery)


async def replay(conn: Conn, user_id: int, delivery_id: UUID) -> bool:
    params = {"id": delivery_id, "user_id": user_id}
    return await database.value(conn, _SQL["replay"], params) is not None


async def is_disabled(conn: Conn, user_id: int, delivery_id: UUID) -> bool:
    """The webhook of a delivery of theirs."""
    params = {"id": delivery_id, "user_id": user_id}
    return bool(await database.value(conn, _SQL["is_disabled"], params))


async def get(conn: Conn, delivery_id: UUID) -> Due | None:
    """None when it was made, its webhook is gone, or disabled."""
    return await database.one(conn, _SQL["get"], {"id": delivery_id}, Due)


async def succeeded(conn: Conn, delivery_id: UUID, answer: str) -> None:
    await database.execute(conn, _SQL["succeeded"], {"id": delivery_id, "answer": answer})


async def drop(conn: Conn, delivery_id: UUID, answer: str) -> None:
    """One that is not sent any more."""
    await database.execute(conn, _SQL["drop"], {"id": delivery_id, "answer": answer})


async def failed(
    conn: Conn, delivery_id: UUID, answer: str, *, is_last: bool, is_gone: bool
) -> bool:
    """Whether its webhook was disabled by it."""
    params = {"id": delivery_id, "answer": answer, "is_last": is_last, "is_gone": is_gone}
    return bool(await database.value(conn, _SQL["failed"], params))


async def give_up(conn: Conn, webhook_id: UUID) -> None:
    """What waits for it."""
    await database.execute(conn, _SQL["give_up"], {"webhook_id": webhook_id})
