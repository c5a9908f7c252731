from dataclasses import dataclass
from typing import Any

from activelog import database
from activelog.database import Conn
from activelog.friends.model import (
    Activity,
    Asking,
    Blocked,
    Friend,
    FriendRequest,
    Notification,
    SentRequest,
)

_SQL = database.queries("friends")


@dataclass(frozen=True)
class NewRequest:
    id: int
    to_id: int


async def request(conn: Conn, user_id: int, email: str) -> NewRequest | None:
    params = {"user_id": user_id, "email": email}
    return await database.one(conn, _SQL["request"], params, NewRequest)


async def requests(conn: Conn, user_id: int) -> list[FriendRequest]:
    return await database.many(conn, _SQL["requests"], {"user_id": user_id}, FriendRequest)


async def accept(conn: Conn, request_id: int, user_id: int) -> bool:
    return bool(await database.value(conn, _SQL["accept"], {"id": request_id, "user_id": user_id}))


async def sent(conn: Conn, user_id: int) -> list[SentRequest]:
    return await database.many(conn, _SQL["sent"], {"user_id": user_id}, SentRequest)


async def withdraw(conn: Conn, user_id: int, email: str) -> bool:
    params = {"user_id": user_id, "email": email}
    return bool(await database.value(conn, _SQL["withdraw"], params))


async def decline(conn: Conn, request_id: int, user_id: int) -> bool:
    return (
        await database.execute(conn, _SQL["decline"], {"id": request_id, "user_id": user_id}) == 1
    )


async def block(conn: Conn, request_id: int, user_id: int) -> bool:
    return await database.execute(conn, _SQL["block"], {"id": request_id, "user_id": user_id}) == 1


async def blocked(conn: Conn, user_id: int, after: int, limit: int) -> list[Blocked]:
    params = {"user_id": user_id, "after": after, "limit": limit}
    return await database.many(conn, _SQL["blocked"], params, Blocked)


async def unblock(conn: Conn, user_id: int, blocked_id: int) -> bool:
    params = {"user_id": user_id, "blocked_id": blocked_id}
    return await database.execute(conn, _SQL["unblock"], params) == 1


async def page(conn: Conn, user_id: int, after: int, limit: int) -> list[Friend]:
    params = {"user_id": user_id, "after": after, "limit": limit}
    return await database.many(conn, _SQL["page"], params, Friend)


async def unfriend(conn: Conn, user_id: int, friend_id: int) -> bool:
    params = {"user_id": user_id, "friend_id": friend_id}
    return await database.execute(conn, _SQL["unfriend"], params) > 0


async def block_friend(conn: Conn, user_id: int, friend_id: int) -> bool:
    params = {"user_id": user_id, "friend_id": friend_id}
    return await database.execute(conn, _SQL["block_friend"], params) == 1


async def notifications(
    conn: Conn, user_id: int, before: int | None, limit: int
) -> list[Notification]:
    params = {"user_id": user_id, "before": before, "limit": limit}
    return await database.many(conn, _SQL["notifications"], params, Notification)


async def unread(conn: Conn, user_id: int) -> int:
    return int(await database.value(conn, _SQL["unread"], {"user_id": user_id}))


async def mark_read(conn: Conn, user_id: int) -> None:
    await database.execute(conn, _SQL["mark_read"], {"user_id": user_id})


async def notify(conn: Conn, activity_id: int, after: int, limit: int) -> list[int]:
    """The friends of this page, in order of their ids."""
    params: dict[str, Any] = {"activity_id": activity_id, "after": after, "limit": limit}
    found: list[int] = await database.value(conn, _SQL["notify"], params)
    return found


async def take_requests(conn: Conn, user_id: int, mail_id: int) -> list[Asking]:
    """For that mail: the first ones."""
    params = {"user_id": user_id, "mail_id": mail_id}
    return await database.many(conn, _SQL["take_requests"], params, Asking)


async def take_activities(conn: Conn, user_id: int, mail_id: int) -> list[Activity]:
    """For that mail: the newest ones."""
    params = {"user_id": user_id, "mail_id": mail_id}
    return await database.many(conn, _SQL["take_activities"], params, Activity)
