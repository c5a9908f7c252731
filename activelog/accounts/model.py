import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from activelog.base.errors import AppError

_LINK = re.compile(r"://|\bwww\.", re.IGNORECASE)

Email = Annotated[str, Meta(max_length=254, examples=["john@example.com"])]
Password = Annotated[
    str, Meta(min_length=10, max_length=256, examples=["correct horse battery staple"])
]
Token = Annotated[str, Meta(examples=["eyJhbGciOiJIUzI1NiIs…"])]
Moment = Annotated[datetime, Meta(examples=["2024-01-15T14:30:00Z"])]


class Register(msgspec.Struct, forbid_unknown_fields=True):
    email: Email
    password: Password
    name: Annotated[str, Meta(min_length=1, max_length=100, examples=["John"])]


class Registered(msgspec.Struct):
    """The token is good for resend-verification only; signing in gives one for the rest."""

    message: Annotated[str, Meta(examples=["verification email queued"])]
    email: Email
    token: Token
    expires_at: Moment


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=1000, examples=["john@example.com"])]
    password: Annotated[str, Meta(max_length=1000, examples=["correct horse battery staple"])]


class Session(msgspec.Struct):
    token: Token
    expires_at: Moment
    token_type: Annotated[str, Meta(examples=["Bearer"])] = "Bearer"  # noqa: S105


class Resent(msgspec.Struct):
    message: Annotated[str, Meta(examples=["verification email queued"])]
    email: Email


class ForgotPassword(msgspec.Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=1000, examples=["john@example.com"])]


class ResetPassword(msgspec.Struct, forbid_unknown_fields=True):
    token: Annotated[str, Meta(max_length=200, examples=["abc123def456"])]
    password: Password


class Done(msgspec.Struct):
    message: Annotated[str, Meta(examples=["password changed"])]


class VerifyQuery(msgspec.Struct, forbid_unknown_fields=True):
    token: Annotated[str, Meta(max_length=200, examples=["abc123def456"])]


class Verified(msgspec.Struct):
    message: Annotated[str, Meta(examples=["email verified successfully"])]
    verified_at: Moment


class Profile(msgspec.Struct):
    id: Annotated[int, Meta(examples=[1])]
    email: Email
    name: Annotated[str, Meta(examples=["John"])]
    created_at: Moment
    verified_at: Moment
    delete_after: Annotated[
        datetime | None, Meta(description="when the account is deleted, if its owner asked for it")
    ]


@dataclass(frozen=True)
class Credentials:
    id: int
    password_hash: str
    at: datetime  # when they were these


@dataclass(frozen=True)
class Pending:
    """A registration: the unverified account, and the verified one with its address, if any."""

    user_id: int
    email: str
    verified_at: datetime | None
    owner_id: int | None


def clean_name(text: str) -> str:
    """One visible line: a name goes into subjects and headers of mails."""
    name = unicodedata.normalize("NFC", text).strip()
    if not name or any(_breaks_a_line(letter) for letter in name):
        raise AppError.invalid("name", "must be one line of text without control characters")
    if _LINK.search(name):
        # Or anybody could have us mail their advertisement to any address.
        raise AppError.invalid("name", "must be a name and not a link")
    return name


def _breaks_a_line(letter: str) -> bool:
    turns_around = letter in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return turns_around or unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs")
