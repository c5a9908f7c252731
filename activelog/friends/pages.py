from starlette.requests import Request
from starlette.responses import Response

from activelog import http
from activelog.friends import queries, routes
from activelog.friends.model import Ask
from activelog.http import pages
from activelog.http.pages import Form, Page, Visitor
from activelog.services import of_request

_SHOWN = 100


async def page(request: Request, visitor: Visitor) -> Response:
    async with of_request(request).pool.connection() as conn:
        sent = await queries.sent(conn, visitor.id)
        requests = await queries.requests(conn, visitor.id)
        friends = await queries.page(conn, visitor.id, 0, _SHOWN)
        blocked = await queries.blocked(conn, visitor.id, 0, _SHOWN)
        notifications = await queries.notifications(conn, visitor.id, None, 30)
        await queries.mark_read(conn, visitor.id)
    return pages.page(
        request,
        "friends/friends.html",
        requests=requests,
        sent=sent,
        friends=friends,
        blocked=blocked,
        notifications=notifications,
    )


async def ask(request: Request, visitor: Visitor, form: Form) -> Response:
    await routes.ask(request, visitor.id, http.convert(form, Ask))
    return pages.back(request, "/friends", "Sent, if somebody has that address.")


async def withdraw(request: Request, visitor: Visitor, form: Form) -> Response:
    await routes.withdraw(request, visitor.id, http.convert(form, Ask))
    return pages.back(request, "/friends", "Taken back.")


async def accept(request: Request, visitor: Visitor, request_id: int) -> Response:
    await routes.accept(request, visitor.id, request_id)
    return pages.back(request, "/friends", "You are friends now.")


async def decline(request: Request, visitor: Visitor, request_id: int) -> Response:
    await routes.decline(request, visitor.id, request_id)
    return pages.back(request, "/friends", "Declined.")


async def block(request: Request, visitor: Visitor, request_id: int) -> Response:
    await routes.block(request, visitor.id, request_id)
    return pages.back(request, "/friends", "Declined; no more requests from there.")


async def unblock(request: Request, visitor: Visitor, blocked_id: int) -> Response:
    await routes.unblock(request, visitor.id, blocked_id)
    return pages.back(request, "/friends", "They can ask again.")


async def unfriend(request: Request, visitor: Visitor, friend_id: int) -> Response:
    await routes.unfriend(request, visitor.id, friend_id)
    return pages.back(request, "/friends", "No friends any more.")


async def block_friend(request: Request, visitor: Visitor, friend_id: int) -> Response:
    await routes.block_friend(request, visitor.id, friend_id)
    return pages.back(request, "/friends", "Blocked: no friends any more, and no requests.")


PAGES = [
    Page("GET", "/friends", page),
    Page("POST", "/friends", ask),
    Page("POST", "/friends/requests/withdraw", withdraw),
    Page("POST", "/friends/requests/{request_id}/accept", accept),
    Page("POST", "/friends/requests/{request_id}/decline", decline),
    Page("POST", "/friends/requests/{request_id}/block", block),
    Page("POST", "/friends/blocked/{blocked_id}/delete", unblock),
    Page("POST", "/friends/{friend_id}/delete", unfriend),
    Page("POST", "/friends/{friend_id}/block", block_friend),
]
