from typing import Annotated

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from activelog import api, db, limits
from activelog.addresses import findable
from activelog.errors import AppError
from activelog.friends import queries
from activelog.friends.model import (
    Ask,
    Asked,
    BlockedPage,
    FriendPage,
    FriendRequests,
    NotificationPage,
    PageQuery,
)
from activelog.friends.tasks import write_request
from activelog.limits import Limit
from activelog.services import of_request

Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
REQUESTS = Limit("friend-request", 50, 24 * 3600)


async def ask(request: Request, user_id: int, body: Ask) -> Response:
    """Asks whoever has that address to be a friend. The answer is the same if nobody has it."""
    services = of_request(request)
    async with db.transaction(services.pool) as conn:
        await limits.take(conn, REQUESTS, str(user_id))
        asked = await queries.request(conn, user_id, findable(body.email))
        if asked is not None:
            await write_request(services, conn, asked.id, asked.to_id)
    return api.json(Asked("friend request sent"), 202)


async def requests(request: Request, user_id: int) -> Response:
    """Who asks to be a friend."""
    async with of_request(request).pool.connection() as conn:
        return api.json(FriendRequests(await queries.requests(conn, user_id)))


async def accept(request: Request, user_id: int, request_id: int) -> Response:
    """Accepts a friend request."""
    async with of_request(request).pool.connection() as conn:
        _check(await queries.accept(conn, request_id, user_id))
    return Response(status_code=204)


async def decline(request: Request, user_id: int, request_id: int) -> Response:
    """Declines a friend request; its sender is not told."""
    async with of_request(request).pool.connection() as conn:
        _check(await queries.decline(conn, request_id, user_id))
    return Response(status_code=204)


async def block(request: Request, user_id: int, request_id: int) -> Response:
    """Declines a friend request, and its sender can send no other."""
    async with of_request(request).pool.connection() as conn:
        _check(await queries.block(conn, request_id, user_id))
    return Response(status_code=204)


async def blocked(request: Request, user_id: int, query: PageQuery) -> Response:
    """Whom one has blocked."""
    async with of_request(request).pool.connection() as conn:
        found = await queries.blocked(conn, user_id, _after(query), query.limit + 1)
    return api.json(BlockedPage(*api.cut(found, query.limit, lambda one: (one.user_id,))))


async def unblock(request: Request, user_id: int, blocked_id: int) -> Response:
    """Lets somebody ask again whom one had blocked; they are not told."""
    async with of_request(request).pool.connection() as conn:
        if not await queries.unblock(conn, user_id, blocked_id):
            raise AppError.not_found("blocked person")
    return Response(status_code=204)


async def page(request: Request, user_id: int, query: PageQuery) -> Response:
    """One's friends."""
    async with of_request(request).pool.connection() as conn:
        found = await queries.page(conn, user_id, _after(query), query.limit + 1)
    return api.json(FriendPage(*api.cut(found, query.limit, lambda one: (one.user_id,))))


async def unfriend(request: Request, user_id: int, friend_id: int) -> Response:
    """Ends a friendship."""
    async with of_request(request).pool.connection() as conn:
        if not await queries.unfriend(conn, user_id, friend_id):
            raise AppError.not_found("friend")
    return Response(status_code=204)


async def notifications(request: Request, user_id: int, query: PageQuery) -> Response:
    """What happened around one's friends."""
    before = api.decode_cursor(query.cursor, tuple[Id])[0] if query.cursor else None
    async with of_request(request).pool.connection() as conn:
        found = await queries.notifications(conn, user_id, before, query.limit + 1)
        unread = await queries.unread(conn, user_id)
    shown, cursor = api.cut(found, query.limit, lambda one: (one.id,))
    return api.json(NotificationPage(shown, unread, cursor))


async def mark_read(request: Request, user_id: int) -> Response:
    """Marks all notifications as read."""
    async with of_request(request).pool.connection() as conn:
        await queries.mark_read(conn, user_id)
    return Response(status_code=204)


def _after(query: PageQuery) -> int:
    """The id that a page of people in order of their ids begins behind."""
    return int(api.decode_cursor(query.cursor, tuple[Id])[0]) if query.cursor else 0


def _check(answered: bool) -> None:
    if not answered:
        raise AppError.not_found("friend request")
