from datetime import timedelta
from typing import Annotated

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from activelog import database, http
from activelog.base.addresses import findable
from activelog.base.errors import AppError
from activelog.database import rate_limits
from activelog.database.rate_limits import RateLimit
from activelog.friends import mails, queries
from activelog.friends.model import (
    Ask,
    Asked,
    BlockedPage,
    FriendPage,
    FriendRequests,
    NotificationPage,
    PageQuery,
    SentRequests,
)
from activelog.http import Endpoint
from activelog.services import of_request

Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
DIGEST_DELAY = timedelta(minutes=10)
REQUESTS = RateLimit("friend-request", 50, 24 * 3600)


async def ask(request: Request, user_id: int, body: Ask) -> Response:
    """Asks whoever has that address to be a friend. The answer is the same if nobody has it."""
    services = of_request(request)
    async with database.transaction(services.pool) as conn:
        await rate_limits.take(conn, REQUESTS, str(user_id))
        asked = await queries.request(conn, user_id, findable(body.email))
        if asked is not None:
            await services.outbox.write_digests(
                conn, mails.REQUEST, [asked.to_id], str(asked.id), DIGEST_DELAY
            )
    return http.json(Asked("friend request sent"), 202)


async def requests(request: Request, user_id: int) -> Response:
    """Who asks to be a friend."""
    async with of_request(request).pool.connection() as conn:
        return http.json(FriendRequests(await queries.requests(conn, user_id)))


async def sent(request: Request, user_id: int) -> Response:
    """Whom one has asked, and who has not said yes."""
    async with of_request(request).pool.connection() as conn:
        return http.json(SentRequests(await queries.sent(conn, user_id)))


async def withdraw(request: Request, user_id: int, query: Ask) -> Response:
    """Takes back what one asked."""
    async with of_request(request).pool.connection() as conn:
        _check(await queries.withdraw(conn, user_id, findable(query.email)))
    return Response(status_code=204)


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
    return http.json(BlockedPage(*http.cut(found, query.limit, lambda one: (one.user_id,))))


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
    return http.json(FriendPage(*http.cut(found, query.limit, lambda one: (one.user_id,))))


async def unfriend(request: Request, user_id: int, friend_id: int) -> Response:
    """Ends a friendship."""
    async with of_request(request).pool.connection() as conn:
        if not await queries.unfriend(conn, user_id, friend_id):
            raise AppError.not_found("friend")
    return Response(status_code=204)


async def block_friend(request: Request, user_id: int, friend_id: int) -> Response:
    """Ends a friendship, and the other can ask no more; they are not told."""
    async with of_request(request).pool.connection() as conn:
        if not await queries.block_friend(conn, user_id, friend_id):
            raise AppError.not_found("friend")
    return Response(status_code=204)


async def notifications(request: Request, user_id: int, query: PageQuery) -> Response:
    """What happened around one's friends."""
    before = http.decode_cursor(query.cursor, tuple[Id])[0] if query.cursor else None
    async with of_request(request).pool.connection() as conn:
        found = await queries.notifications(conn, user_id, before, query.limit + 1)
        unread = await queries.unread(conn, user_id)
    shown, cursor = http.cut(found, query.limit, lambda one: (one.id,))
    return http.json(NotificationPage(shown, unread, cursor))


async def mark_read(request: Request, user_id: int) -> Response:
    """Marks all notifications as read."""
    async with of_request(request).pool.connection() as conn:
        await queries.mark_read(conn, user_id)
    return Response(status_code=204)


def _after(query: PageQuery) -> int:
    """The id that a page of people in order of their ids begins behind."""
    return int(http.decode_cursor(query.cursor, tuple[Id])[0]) if query.cursor else 0


def _check(answered: bool) -> None:
    if not answered:
        raise AppError.not_found("friend request")


ENDPOINTS = [
    Endpoint("GET", "/api/v1/friends", page, {200: FriendPage}),
    Endpoint("DELETE", "/api/v1/friends/{friend_id}", unfriend, {204: None}),
    Endpoint("POST", "/api/v1/friends/{friend_id}/block", block_friend, {204: None}),
    Endpoint("GET", "/api/v1/friends/requests/sent", sent, {200: SentRequests}),
    Endpoint("DELETE", "/api/v1/friends/requests/sent", withdraw, {204: None}, errors=(404,)),
    Endpoint("POST", "/api/v1/friends/requests", ask, {202: Asked}, errors=(429,)),
    Endpoint("GET", "/api/v1/friends/requests", requests, {200: FriendRequests}),
    Endpoint("POST", "/api/v1/friends/requests/{request_id}/accept", accept, {204: None}),
    Endpoint("POST", "/api/v1/friends/requests/{request_id}/decline", decline, {204: None}),
    Endpoint("POST", "/api/v1/friends/requests/{request_id}/block", block, {204: None}),
    Endpoint("GET", "/api/v1/friends/blocked", blocked, {200: BlockedPage}),
    Endpoint("DELETE", "/api/v1/friends/blocked/{blocked_id}", unblock, {204: None}),
    Endpoint("GET", "/api/v1/notifications", notifications, {200: NotificationPage}),
    Endpoint("POST", "/api/v1/notifications/read", mark_read, {204: None}),
]
