import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from activelog import database, http, mail
from activelog.accounts import mails, queries
from activelog.accounts.model import (
    SAID_OF_MAILS,
    ChangeProfile,
    Done,
    ForgotPassword,
    OpenSession,
    Pending,
    Profile,
    Register,
    Registered,
    Registration,
    Resent,
    ResetPassword,
    Session,
    Sessions,
    SignIn,
    Verified,
    VerifyQuery,
    clean_name,
)
from activelog.accounts.passwords import check_password
from activelog.base import auth
from activelog.base.addresses import clean_email, findable, mailbox
from activelog.base.errors import AppError
from activelog.base.zones import clean_zone
from activelog.database import Conn, rate_limits
from activelog.database.rate_limits import RateLimit
from activelog.http import Endpoint, SessionId
from activelog.services import Services, of_request

# From one place few, from all together more: it takes many places to keep somebody else out.
# Addresses are counted by the mailbox that they lead to.
REGISTER_PER_MAILBOX_AND_HOST = RateLimit("register:mailbox-host", 3, 3600)
REGISTER_PER_MAILBOX = RateLimit("register:mailbox", 5, 3600, is_told=False)
REGISTER_PER_HOST = RateLimit("register:host", 60, 3600)
RESEND = RateLimit("resend", 3, 3600, is_told=False)
SIGN_IN_PER_EMAIL_AND_HOST = RateLimit("sign-in:email-host", 10, 900)
SIGN_IN_PER_EMAIL_AND_NETWORK = RateLimit("sign-in:email-network", 30, 900, is_told=False)
SIGN_IN_PER_EMAIL = RateLimit("sign-in:email", 200, 900, is_told=False)
SIGN_IN_PER_HOST = RateLimit("sign-in:host", 100, 900)
RESET_PER_EMAIL = RateLimit("reset:email", 3, 3600, is_told=False)
RESET_PER_HOST = RateLimit("reset:host", 60, 3600)
DELETIONS = RateLimit("delete-account", 5, 24 * 3600)
GRACE_DAYS = 30


async def register(request: Request, body: Register) -> Response:
    """Starts an account: a welcome mail and one with a verification link go to the address. The
    answer is the same for an address that has an account already; its owner gets a note."""
    pending, email, _ = await start(request, body)
    services = of_request(request)
    token, expires = registration_token(services, pending)
    return http.json(Registered("verification email queued", email, token, expires), 202)


def registration_token(services: Services, pending: Pending) -> tuple[str, datetime]:
    """And when it ends."""
    subject = str(pending.user_id)
    return auth.make_token(services.settings.secret, "registration", subject, services.clock())


async def start(request: Request, body: Register) -> tuple[Pending, str, str]:
    """The registration, the address as it is kept, and the token that is mailed to it."""
    services = of_request(request)
    email, name, zone = clean_email(body.email), clean_name(body.name), clean_zone(body.zone)
    check_password(body.password, name, email, *email.split("@"))
    host = http.client_host(request)
    async with services.pool.connection() as conn:
        await rate_limits.take(conn, REGISTER_PER_HOST, host)
        await rate_limits.take(conn, REGISTER_PER_MAILBOX_AND_HOST, f"{mailbox(email)} {host}")
        await rate_limits.take(conn, REGISTER_PER_MAILBOX, mailbox(email))
        await take_stranger(services, conn)
    password_hash = await asyncio.to_thread(auth.hash_password, body.password)
    language = mail.guess(request.headers.get("accept-language", ""))
    async with database.transaction(services.pool) as conn:
        pending = await queries.register(
            conn, email, name, password_hash, zone=zone, language=language
        )
        await services.outbox.write(conn, mails.WELCOME, pending.user_id)
        token = await mails.write_verification(services, conn, pending.user_id)
    return pending, email, token


async def registration(request: Request) -> Response:
    """Whether the mail with the verification link arrived at a mail server. Takes the token that
    registering gave."""
    return http.json(await find_registration(of_request(request), http.bearer(request)))


async def find_registration(services: Services, token: str) -> Registration:
    user_id = _registration(services, token)
    async with services.pool.connection() as conn:
        found = await queries.registration(
            conn, mails.VERIFICATION, mails.ALREADY_REGISTERED, user_id
        )
    if found is None:
        raise AppError("unauthorized", "the registration is gone; register again", 401)
    if found.verified_at is not None:
        raise AppError("conflict", "the address is verified already; sign in", 409)
    fate = found.fate()
    return Registration(found.email, fate, SAID_OF_MAILS[fate])


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
            await rate_limits.take(conn, RESEND, mailbox(pending.email))
            await take_stranger(services, conn)
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
    """A bearer token for 12 hours, or until it is signed out. Only a verified address can sign in;
    every refusal reads the same."""
    return http.json(Session(*await authenticate(request, body)))


async def authenticate(request: Request, body: SignIn) -> tuple[str, datetime]:
    """A session's token and when it ends."""
    services = of_request(request)
    email = findable(body.email)
    async with services.pool.connection() as conn:
        guesses = await _count_guess(conn, request, email.lower())
        found = await queries.credentials(conn, email)
    stored = found.password_hash if found else None
    matches = await asyncio.to_thread(auth.verify_password, body.password, stored)
    if found is None or not matches:
        message = "email or password is wrong, or the address is not verified yet"
        raise AppError("unauthorized", message, 401)
    async with services.pool.connection() as conn:
        await rate_limits.give_back(conn, guesses)
        is_new = await http.begin_session(conn, request, found.id, found.at)
        if is_new:
            await services.outbox.write(conn, mails.NEW_SIGN_IN, found.id, found.at.isoformat())
    return auth.make_token(services.settings.secret, "session", str(found.id), found.at)


async def _count_guess(conn: Conn, request: Request, email: str) -> list[tuple[RateLimit, str]]:
    """What is counted of it but for the host. Strangers' guesses, from however many places, never
    keep out somebody who signed in from here before."""
    host, network = http.client_host(request), http.client_network(request)
    await rate_limits.take(conn, SIGN_IN_PER_HOST, host)
    guesses = [
        (SIGN_IN_PER_EMAIL_AND_HOST, f"{email} {host}"),
        (SIGN_IN_PER_EMAIL_AND_NETWORK, f"{email} {network}"),
        (SIGN_IN_PER_EMAIL, email),
    ]
    if await queries.signed_in_from(conn, email, host):
        del guesses[1:]
    for limit, subject in guesses:
        await rate_limits.take(conn, limit, subject)
    return guesses


async def forgot_password(request: Request, body: ForgotPassword) -> Response:
    """Mails a link for choosing a new password, if the address has an account; the answer is the
    same if not."""
    services = of_request(request)
    email = findable(body.email)
    async with database.transaction(services.pool) as conn:
        await rate_limits.take(conn, RESET_PER_HOST, http.client_host(request))
        await rate_limits.take(conn, RESET_PER_EMAIL, mailbox(email))
        await mails.request_reset(services, conn, email, http.client_host(request))
    return http.json(Done("if the address has an account, a link is on its way"), 202)


async def reset_password(request: Request, body: ResetPassword) -> Response:
    """Sets the password with the token that was mailed; it works once, within an hour."""
    services, token_hash = of_request(request), auth.hash_token(body.token)
    check_password(body.password)
    async with services.pool.connection() as conn:
        await rate_limits.take(conn, RESET_PER_HOST, http.client_host(request))
        is_open = await queries.reset_token_is_open(conn, token_hash)
    if is_open:  # hashing costs; nobody has us do it for nothing
        password_hash = await asyncio.to_thread(auth.hash_password, body.password)
        async with database.transaction(services.pool) as conn:
            user_id = await queries.reset_password(conn, token_hash, password_hash)
            if user_id is not None:
                at = services.clock().isoformat()
                await services.outbox.write(conn, mails.PASSWORD_CHANGED, user_id, at)
        if user_id is not None:
            await http.ask_for_endings(services)
            return http.json(Done("password changed"))
    raise AppError("invalid token", "the link is invalid, used or expired")


async def sessions(request: Request, session: SessionId) -> Response:
    """Where you are signed in."""
    async with of_request(request).pool.connection() as conn:
        return http.json(Sessions(await find_sessions(conn, session)))


async def find_sessions(conn: Conn, current: SessionId) -> list[OpenSession]:
    return [_open(one, current) for one in await http.open_sessions(conn, current.user_id)]


async def end_session(request: Request, user_id: int, session_id: int) -> Response:
    """Signs a session out; its token works no more."""
    ended = SessionId(user_id, session_time(session_id))
    async with of_request(request).pool.connection() as conn:
        if all(
            one.started_at != ended.started_at for one in await http.open_sessions(conn, user_id)
        ):
            raise AppError.not_found("session")
    await http.end_session(of_request(request), ended)
    return Response(status_code=204)


async def sign_out(request: Request, session: SessionId) -> Response:
    """Signs this session out; its token works no more."""
    await http.end_session(of_request(request), session)
    return Response(status_code=204)


async def sign_out_everywhere(request: Request, user_id: int) -> Response:
    """Signs every session out, this one too."""
    services = of_request(request)
    async with services.pool.connection() as conn:
        await queries.end_sessions(conn, user_id)
    await http.ask_for_endings(services)
    return Response(status_code=204)


def session_time(session_id: int) -> datetime:
    """When it began: microseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=min(session_id, 2**52))


def _open(found: http.Open, current: SessionId) -> OpenSession:
    since = found.started_at - datetime(1970, 1, 1, tzinfo=UTC)
    return OpenSession(
        since // timedelta(microseconds=1),
        found.started_at,
        found.started_at + timedelta(hours=auth.SESSION_HOURS),
        found.host,
        found.agent,
        found.started_at == current.started_at,
    )


async def me(request: Request, user_id: int) -> Response:
    """The signed-in user."""
    async with of_request(request).pool.connection() as conn:
        return http.json(require_profile(await queries.profile(conn, user_id)))


async def change(request: Request, user_id: int, body: ChangeProfile) -> Response:
    """Changes the fields that are given. Activities stay in the zone in which they happened."""
    if body.name is not None:
        body.name = clean_name(body.name)
    if body.zone is not None:
        clean_zone(body.zone)
    async with of_request(request).pool.connection() as conn:
        return http.json(require_profile(await queries.change_profile(conn, user_id, body)))


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


async def verify(services: Services, token: str, password: str | None = None) -> datetime:
    """With a password, that one is the account's from now on: the mailbox's owner decides, whoever
    registered the address."""
    token_hash, password_hash = auth.hash_token(token), None
    if password is not None:
        check_password(password)
        async with services.pool.connection() as conn:
            is_open = await queries.verification_token_is_open(conn, token_hash)
        if is_open:  # hashing costs; nobody has us do it for nothing
            password_hash = await asyncio.to_thread(auth.hash_password, password)
    try:
        async with services.pool.connection() as conn:
            verified_at = await queries.verify(conn, token_hash, password_hash)
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


async def take_stranger(services: Services, conn: Conn) -> None:
    """Counts a mail to an address that nobody verified, of all that there are together."""
    limit = RateLimit("register:all", services.settings.registrations_per_hour, 3600, False)
    await rate_limits.take(conn, limit, "all")


ENDPOINTS = [
    Endpoint("POST", "/api/v1/auth/register", register, {202: Registered}, errors=(429,)),
    Endpoint("POST", "/api/v1/auth/login", sign_in, {200: Session}, errors=(401, 429)),
    Endpoint("POST", "/api/v1/auth/logout", sign_out, {204: None}),
    Endpoint("GET", "/api/v1/auth/sessions", sessions, {200: Sessions}),
    Endpoint("DELETE", "/api/v1/auth/sessions", sign_out_everywhere, {204: None}, scope="session"),
    Endpoint("DELETE", "/api/v1/auth/sessions/{session_id}", end_session, {204: None},
             scope="session"),
    Endpoint("GET", "/api/v1/auth/registration", registration, {200: Registration},
             errors=(401, 409), bearer=True),
    Endpoint("POST", "/api/v1/auth/resend-verification", resend_verification, {202: Resent},
             errors=(401, 429), bearer=True, idempotent=True),
    Endpoint("GET", "/api/v1/auth/verify-email", verify_email, {200: Verified}),
    Endpoint("POST", "/api/v1/auth/forgot-password", forgot_password, {202: Done}, errors=(429,)),
    Endpoint("POST", "/api/v1/auth/reset-password", reset_password, {200: Done}, errors=(429,)),
    Endpoint("GET", "/api/v1/users/me", me, {200: Profile}),
    Endpoint("PATCH", "/api/v1/users/me", change, {200: Profile}),
    Endpoint("DELETE", "/api/v1/users/me", delete, {202: Profile}, errors=(429,),
             scope="session"),
    Endpoint("POST", "/api/v1/users/me/restore", restore, {200: Profile}, scope="session"),
]  # fmt: skip
