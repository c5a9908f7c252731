import asyncio
import ipaddress
from datetime import datetime

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from activelog import database, http
from activelog.accounts import mails, queries
from activelog.accounts.model import (
    Done,
    ForgotPassword,
    Pending,
    Profile,
    Register,
    Registered,
    Resent,
    ResetPassword,
    Session,
    SignIn,
    Verified,
    VerifyQuery,
    clean_name,
)
from activelog.base import auth
from activelog.base.addresses import clean_email, findable
from activelog.base.errors import AppError
from activelog.database import Conn, rate_limits
from activelog.database.rate_limits import RateLimit
from activelog.http import Endpoint
from activelog.services import Services, of_request

# From one place few, from all together more: it takes many places to keep somebody else out.
REGISTER_PER_EMAIL_AND_HOST = RateLimit("register:email-host", 3, 3600)
REGISTER_PER_EMAIL = RateLimit("register:email", 12, 3600)
REGISTER_PER_HOST = RateLimit("register:host", 60, 3600)
RESEND = RateLimit("resend", 3, 3600)
SIGN_IN_PER_EMAIL_AND_HOST = RateLimit("sign-in:email-host", 10, 900)
SIGN_IN_PER_EMAIL = RateLimit("sign-in:email", 200, 900)
SIGN_IN_PER_HOST = RateLimit("sign-in:host", 100, 900)
RESET_PER_EMAIL = RateLimit("reset:email", 3, 3600)
RESET_PER_HOST = RateLimit("reset:host", 60, 3600)
DELETIONS = RateLimit("delete-account", 5, 24 * 3600)
GRACE_DAYS = 30


async def register(request: Request, body: Register) -> Response:
    """Starts an account: a welcome mail and one with a verification link go to the address. The
    answer is the same for an address that has an account already; its owner gets a note."""
    pending, email = await start(request, body)
    services = of_request(request)
    token, expires = auth.make_token(
        services.settings.secret, "registration", str(pending.user_id), services.clock()
    )
    return http.json(Registered("verification email queued", email, token, expires), 202)


async def start(request: Request, body: Register) -> tuple[Pending, str]:
    """The registration, and the address as it is kept."""
    services = of_request(request)
    email, name = clean_email(body.email), clean_name(body.name)
    async with services.pool.connection() as conn:
        await rate_limits.take(conn, REGISTER_PER_HOST, _host(request))
        await rate_limits.take(
            conn, REGISTER_PER_EMAIL_AND_HOST, f"{email.lower()} {_host(request)}"
        )
        await rate_limits.take(conn, REGISTER_PER_EMAIL, email.lower())
    password_hash = await asyncio.to_thread(auth.hash_password, body.password)
    async with database.transaction(services.pool) as conn:
        pending = await queries.register(conn, email, name, password_hash)
        await services.outbox.write(conn, mails.WELCOME, pending.user_id)
        await mails.write_verification(services, conn, pending.user_id)
    return pending, email


async def resend_verification(request: Request) -> Response:
    """Mails another verification link. Takes the token that registering gave."""
    services = of_request(request)
    user_id = _registration(services, http.bearer(request))

    async def start(conn: Conn) -> Response:
        async with conn.transaction():
            pending = await queries.pending(conn, user_id)
            if pending is None:
                raise AppError("unauthorized", "the registration is gone; register again", 401)
            if pending.verified_at is not None:
                raise AppError("conflict", "the address is verified already; sign in", 409)
            await rate_limits.take(conn, RESEND, pending.email.lower())
            await mails.write_verification(services, conn, pending.user_id)
        return http.json(Resent("verification email queued", pending.email), 202)

    return await http.once(request, user_id, None, start)


async def verify_email(request: Request, query: VerifyQuery) -> Response:
    """Verifies the address that the token was mailed to; a token works once, for 24 hours."""
    if request.method == "HEAD":  # of a program that looks at the links in mails
        return Response()
    verified_at = await verify(of_request(request), query.token)
    return http.json(Verified("email verified successfully", verified_at))


async def sign_in(request: Request, body: SignIn) -> Response:
    """A bearer token for 12 hours. Only a verified address can sign in; every refusal reads the
    same."""
    return http.json(Session(*await authenticate(request, body)))


async def authenticate(request: Request, body: SignIn) -> tuple[str, datetime]:
    """A session's token and when it ends."""
    services = of_request(request)
    email, host = findable(body.email), _host(request)
    guesses = [
        (SIGN_IN_PER_EMAIL_AND_HOST, f"{email.lower()} {host}"),
        (SIGN_IN_PER_EMAIL, email.lower()),
    ]
    async with services.pool.connection() as conn:
        await rate_limits.take(conn, SIGN_IN_PER_HOST, host)
        for limit, subject in guesses:
            await rate_limits.take(conn, limit, subject)
        found = await queries.credentials(conn, email)
    stored = found.password_hash if found else None
    matches = await asyncio.to_thread(auth.verify_password, body.password, stored)
    if found is None or not matches:
        message = "email or password is wrong, or the address is not verified yet"
        raise AppError("unauthorized", message, 401)
    async with services.pool.connection() as conn:
        await rate_limits.give_back(conn, guesses)
    return auth.make_token(services.settings.secret, "session", str(found.id), found.at)


async def forgot_password(request: Request, body: ForgotPassword) -> Response:
    """Mails a link for choosing a new password, if the address has an account; the answer is the
    same if not."""
    services = of_request(request)
    email = findable(body.email)
    async with database.transaction(services.pool) as conn:
        await rate_limits.take(conn, RESET_PER_HOST, _host(request))
        await rate_limits.take(conn, RESET_PER_EMAIL, email.lower())
        found = await queries.credentials(conn, email)
        if found is not None:
            await mails.write_reset(services, conn, found.id)
    return http.json(Done("if the address has an account, a link is on its way"), 202)


async def reset_password(request: Request, body: ResetPassword) -> Response:
    """Sets the password with the token that was mailed; it works once, within an hour."""
    services, token_hash = of_request(request), auth.hash_token(body.token)
    async with services.pool.connection() as conn:
        await rate_limits.take(conn, RESET_PER_HOST, _host(request))
        is_open = await queries.reset_token_is_open(conn, token_hash)
    if is_open:  # hashing costs; nobody has us do it for nothing
        password_hash = await asyncio.to_thread(auth.hash_password, body.password)
        async with services.pool.connection() as conn:
            if await queries.reset_password(conn, token_hash, password_hash):
                return http.json(Done("password changed"))
    raise AppError("invalid token", "the link is invalid, used or expired")


async def me(request: Request, user_id: int) -> Response:
    """The signed-in user."""
    async with of_request(request).pool.connection() as conn:
        return http.json(require_profile(await queries.profile(conn, user_id)))


async def delete(request: Request, user_id: int) -> Response:
    """Deletes the account in 30 days, with all that is its owner's; a mail says so. Until then it
    works as before, and `restore` keeps it."""
    services = of_request(request)
    async with database.transaction(services.pool) as conn:
        await rate_limits.take(conn, DELETIONS, str(user_id))
        profile = require_profile(await queries.delete_later(conn, user_id, GRACE_DAYS))
        assert profile.delete_after is not None
        await services.outbox.write(conn, mails.DELETION, user_id, profile.delete_after.isoformat())
    return http.json(profile, 202)


async def restore(request: Request, user_id: int) -> Response:
    """Keeps an account that was to be deleted."""
    async with of_request(request).pool.connection() as conn:
        return http.json(require_profile(await queries.restore(conn, user_id)))


def require_profile(profile: Profile | None) -> Profile:
    if profile is None:
        raise AppError("unauthorized", "the account is gone", 401)
    return profile


async def verify(services: Services, token: str) -> datetime:
    try:
        async with services.pool.connection() as conn:
            verified_at = await queries.verify(conn, auth.hash_token(token))
    except psycopg.errors.UniqueViolation:
        verified_at = None
    if verified_at is None:
        raise AppError("invalid token", "verification token is invalid or expired")
    return verified_at


def _registration(services: Services, token: str) -> int:
    secret = services.settings.secret
    try:
        return int(auth.read_token(secret, "registration", token).subject)
    except AppError:
        auth.read_token(secret, "session", token)
        raise AppError("conflict", "the address is verified already", 409) from None


def _host(request: Request) -> str:
    """The client's address; of IPv6 the part that a provider gives to one customer."""
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return "local"
    address = getattr(address, "ipv4_mapped", None) or address  # as some proxies report IPv4
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


ENDPOINTS = [
    Endpoint("POST", "/api/v1/auth/register", register, {202: Registered}, errors=(429,)),
    Endpoint("POST", "/api/v1/auth/login", sign_in, {200: Session}, errors=(401, 429)),
    Endpoint("POST", "/api/v1/auth/resend-verification", resend_verification, {202: Resent},
             errors=(401, 429), bearer=True, idempotent=True),
    Endpoint("GET", "/api/v1/auth/verify-email", verify_email, {200: Verified}),
    Endpoint("POST", "/api/v1/auth/forgot-password", forgot_password, {202: Done}, errors=(429,)),
    Endpoint("POST", "/api/v1/auth/reset-password", reset_password, {200: Done}, errors=(429,)),
    Endpoint("GET", "/api/v1/users/me", me, {200: Profile}),
    Endpoint("DELETE", "/api/v1/users/me", delete, {202: Profile}, errors=(429,)),
    Endpoint("POST", "/api/v1/users/me/restore", restore, {200: Profile}),
]  # fmt: skip
