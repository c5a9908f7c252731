"""Passwords, bearer tokens, and signatures for links. All of it from one secret."""

import base64
import hashlib
import hmac
import secrets
import time
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

import jwt

from activelog.base.errors import AppError

SESSION_HOURS = 12
REGISTRATION_HOURS = 24

Audience = Literal["session", "registration"]

_ALGORITHM = "HS256"
_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024, "dklen": 32}


def hash_password(password: str) -> str:
    """scrypt with a salt of its own; 16 MiB and some 40 ms, so call it in a thread."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def verify_password(password: str, stored: str | None) -> bool:
    """Takes as long for an account that does not exist (`stored` None)."""
    _, salt, expected = (stored or _NOBODY).split("$")
    found = hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)).hex(), expected)
    return found and stored is not None


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT)


_NOBODY = f"scrypt${'0' * 32}${'0' * 64}"


def make_token(
    secret: str, audience: Audience, subject: str, now: datetime
) -> tuple[str, datetime]:
    """A bearer token and when it expires. Signing in again gives a new one."""
    hours = SESSION_HOURS if audience == "session" else REGISTRATION_HOURS
    expires = (now + timedelta(hours=hours)).replace(microsecond=0)
    claims = {"sub": subject, "aud": audience, "iat": now.timestamp(), "exp": expires}
    return jwt.encode(claims, _key(secret, "token"), _ALGORITHM), expires


class Claims(NamedTuple):
    """What a token says; times in seconds since 1970."""

    subject: str
    issued: float
    expires: int


def read_token(secret: str, audience: Audience, token: str) -> Claims:
    """The algorithm is ours to choose, never the token's."""
    try:
        claims = _claims(secret, audience, token)
    except jwt.InvalidTokenError:
        raise unauthorized("the bearer token is missing or not valid") from None
    if is_past(claims.expires):
        raise unauthorized("the token has expired; sign in again")
    return claims


@lru_cache(maxsize=10_000)
def _claims(secret: str, audience: Audience, token: str) -> Claims:
    """Of a genuine token, remembered: a client sends it with every request."""
    claims = jwt.decode(
        token,
        _key(secret, "token"),
        algorithms=[_ALGORITHM],
        audience=audience,
        options={"require": ["sub", "aud", "exp", "iat"], "verify_exp": False, "verify_iat": False},
    )
    return Claims(str(claims["sub"]), float(claims["iat"]), int(claims["exp"]))


def unauthorized(message: str) -> AppError:
    return AppError("unauthorized", message, 401)


def sign(secret: str, purpose: str, *parts: object) -> str:
    """A signature over `parts` that is good for one purpose only. URL-safe."""
    text = "\n".join(str(part) for part in parts)
    digest = hmac.digest(_key(secret, purpose), text.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def check_signature(signature: str, secret: str, purpose: str, *parts: object) -> bool:
    return hmac.compare_digest(signature.encode(), sign(secret, purpose, *parts).encode())


def is_past(expires: int) -> bool:
    return time.time() > expires


def hash_token(token: str) -> str:
    """What of a single-use token is stored: it has 256 random bits, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def _key(secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), f"activelog {purpose}".encode(), "sha256")
