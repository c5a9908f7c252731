"""A person changes what they sign in with: the password, or the address."""

import asyncio
from uuid import uuid4

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from activelog import database, http
from activelog.accounts import mails, queries
from activelog.accounts.model import ChangeAddress, ChangePassword, Credentials, Done
from activelog.accounts.passwords import check_password
from activelog.accounts.routes import RESEND, require_profile, take_stranger
from activelog.base import auth
from activelog.base.addresses import clean_email, mailbox
from activelog.base.errors import AppError
from activelog.database import Conn, rate_limits
from activelog.database.rate_limits import RateLimit
from activelog.http import Endpoint
from activelog.services import Services, of_request

PASSWORD_GUESSES = RateLimit("own-password", 10, 900)
ADDRESS_CHANGES = RateLimit("change-address", 5, 24 * 3600)


async def change_password(request: Request, user_id: int, body: ChangePassword) -> Response:
    """Sets another password. Every session ends, this one too; a mail says so."""
    services = of_request(request)
    mine = await _check_own(services, user_id, body.current_password)
    check_password(body.password, mine.email, *mine.email.split("@"))
    password_hash = await asyncio.to_thread(auth.hash_password, body.password)
    async with database.transaction(services.pool) as conn:
        await queries.change_password(conn, user_id, password_hash)
        at = services.clock().isoformat()
        await services.outbox.write(conn, mails.PASSWORD_CHANGED, user_id, at)
    await http.ask_for_endings(services)
    return http.json(Done("password changed"))


async def change_address(request: Request, user_id: int, body: ChangeAddress) -> Response:
    """Mails a link to the new address; whoever opens it within 24 hours makes it the account's. The
    answer is the same for an address that has an account."""
    services, email = of_request(request), clean_email(body.email)
    mine = await _check_own(services, user_id, body.password)
    if email.casefold() == mine.email.casefold():
        raise AppError.invalid("email", "is your address already")
    change_id = uuid4()
    token_hash = auth.hash_token(mails.address_token(services, change_id))
    async with database.transaction(services.pool) as conn:
        await rate_limits.take(conn, ADDRESS_CHANGES, str(user_id))
        await rate_limits.take(conn, RESEND, mailbox(email))
        await take_stranger(services, conn)
        await queries.add_address_change(conn, change_id, user_id, email, token_hash)
        await services.outbox.write(
            conn, mails.ADDRESS_CHANGE, user_id, str(change_id), address=email
        )
    return http.json(Done("a link is on its way to the new address"), 202)


async def confirm_address(services: Services, token: str) -> None:
    """Makes the address to which the token was mailed the account's; a mail tells the old one."""
    try:
        async with database.transaction(services.pool) as conn:
            await _confirm(services, conn, auth.hash_token(token))
    except psycopg.errors.UniqueViolation:  # it has another account meanwhile
        raise _invalid() from None


async def _confirm(services: Services, conn: Conn, token_hash: str) -> None:
    changed = await queries.confirm_address(conn, token_hash)
    if changed is None:
        raise _invalid()
    at = services.clock().isoformat()
    await services.outbox.write(
        conn, mails.ADDRESS_CHANGED, changed.user_id, at, address=changed.old_email
    )


async def _check_own(services: Services, user_id: int, password: str) -> Credentials:
    """Whoever finds somebody's session open does not know their password."""
    async with services.pool.connection() as conn:
        await rate_limits.take(conn, PASSWORD_GUESSES, str(user_id))
        profile = require_profile(await queries.profile(conn, user_id))
        found = await queries.credentials(conn, profile.email)
    stored = found.password_hash if found else None
    if not await asyncio.to_thread(auth.verify_password, password, stored) or found is None:
        raise AppError("forbidden", "that is not your password", 403)
    async with services.pool.connection() as conn:
        await rate_limits.give_back(conn, [(PASSWORD_GUESSES, str(user_id))])
    return found


def _invalid() -> AppError:
    return AppError("invalid token", "the link is invalid, used or expired")


ENDPOINTS = [
    Endpoint("POST", "/api/v1/users/me/password", change_password, {200: Done}, errors=(429,),
             scope="session"),
    Endpoint("POST", "/api/v1/users/me/email", change_address, {202: Done}, errors=(429,),
             scope="session"),
]  # fmt: skip
