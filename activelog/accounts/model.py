import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from activelog.base.errors import AppError
from activelog.base.units import Units, WeekStart
from activelog.mail import LanguageCode

# What programs make a link of: `//host`, `mailto:x`, `evil.example`, a phone number.
_LINK = re.compile(
    r"//|\\\\|\bwww\.|\b(?:mailto|tel|sms|https?|ftp|javascript|data)\s*:|@"
    r"|[^\W\d_][\w-]*[.。．｡][^\W\d_]{2,}|\d(?:[\s./()-]*\d){6,}",
    re.IGNORECASE,
)
_JOINERS = "\u200c\u200d"
_BLANKS = "\u2800\u3164\u115f\u1160\uffa0"  # symbols and letters that show nothing

Email = Annotated[str, Meta(max_length=254, examples=["john@example.com"])]
Password = Annotated[
    str, Meta(min_length=10, max_length=256, examples=["correct horse battery staple"])
]
Token = Annotated[str, Meta(examples=["eyJhbGciOiJIUzI1NiIs…"])]
Moment = Annotated[datetime, Meta(examples=["2024-01-15T14:30:00Z"])]
LONGEST_NAME = 100
Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME, examples=["John"])]
Zone = Annotated[
    str, Meta(max_length=64, description="time zone, by its IANA name", examples=["Europe/Berlin"])
]

_UNITS = Meta(description="of distances on pages, in reports and mails", examples=["km"])
_LANGUAGE = Meta(description="of mails", examples=["en"])
_WEEK_START = Meta(
    description="the first day of weeks on pages and in reports", examples=["monday"]
)


MailFate = Literal["queued", "refused", "failed"]


class Register(msgspec.Struct, forbid_unknown_fields=True):
    email: Email
    password: Password
    name: Name
    zone: Zone = "UTC"


class Registered(msgspec.Struct):
    """The token is good for resend-verification only; signing in gives one for the rest."""

    message: Annotated[str, Meta(examples=["verification email queued"])]
    email: Email
    token: Token
    expires_at: Moment


class Registration(msgspec.Struct):
    """How the mail with the verification link fares."""

    email: Email
    mail: Annotated[
        MailFate, Meta(description="queued: also when it has arrived", examples=["queued"])
    ]
    message: Annotated[str, Meta(examples=["the mail is on its way; look among the junk, too"])]


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=1000, examples=["john@example.com"])]
    password: Annotated[str, Meta(max_length=1000, examples=["correct horse battery staple"])]


class Session(msgspec.Struct):
    token: Token
    expires_at: Moment
    token_type: Annotated[str, Meta(examples=["Bearer"])] = "Bearer"  # noqa: S105


class OpenSession(msgspec.Struct):
    id: Annotated[int, Meta(examples=[1705329000123456])]
    started_at: Moment
    expires_at: Moment
    host: Annotated[str, Meta(description="from where", examples=["203.0.113.7"])]
    agent: Annotated[str, Meta(description="by which program", examples=["Mozilla/5.0 …"])]
    current: Annotated[bool, Meta(description="the one that asks")]


class Sessions(msgspec.Struct):
    """Newest first."""

    sessions: list[OpenSession]


class Resent(msgspec.Struct):
    message: Annotated[str, Meta(examples=["verification email queued"])]
    email: Email


class ForgotPassword(msgspec.Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=1000, examples=["john@example.com"])]


class ResetPassword(msgspec.Struct, forbid_unknown_fields=True):
    token: Annotated[str, Meta(max_length=200, examples=["abc123def456"])]
    password: Password


class ChangePassword(msgspec.Struct, forbid_unknown_fields=True):
    current_password: Annotated[str, Meta(max_length=1000, examples=["correct horse battery"])]
    password: Password


class ChangeAddress(msgspec.Struct, forbid_unknown_fields=True):
    email: Email
    password: Annotated[
        str, Meta(max_length=1000, description="yours", examples=["correct horse battery staple"])
    ]


class Done(msgspec.Struct):
    message: Annotated[str, Meta(examples=["password changed"])]


class VerifyQuery(msgspec.Struct, forbid_unknown_fields=True):
    token: Annotated[str, Meta(max_length=200, examples=["abc123def456"])]


class Verified(msgspec.Struct):
    message: Annotated[str, Meta(examples=["email verified successfully"])]
    verified_at: Moment


class ChangeProfile(msgspec.Struct, forbid_unknown_fields=True):
    """What is absent stays as it is."""

    name: Name | None = None
    zone: Zone | None = None
    units: Annotated[Units, _UNITS] | None = None
    week_start: Annotated[WeekStart, _WEEK_START] | None = None
    language: Annotated[LanguageCode, _LANGUAGE] | None = None


class Profile(msgspec.Struct):
    id: Annotated[int, Meta(examples=[1])]
    email: Email
    name: Annotated[str, Meta(examples=["John"])]
    zone: Zone
    units: Annotated[Units, _UNITS]
    week_start: Annotated[WeekStart, _WEEK_START]
    language: Annotated[LanguageCode, _LANGUAGE]
    created_at: Moment
    verified_at: Moment
    delete_after: Annotated[
        datetime | None, Meta(description="when the account is deleted, if its owner asked for it")
    ]


@dataclass(frozen=True)
class Credentials:
    id: int
    email: str
    password_hash: str
    at: datetime  # when they were these


@dataclass(frozen=True)
class OpenReset:
    """A request for a new password."""

    at: datetime
    asked_from: str | None


@dataclass(frozen=True)
class ChangedAddress:
    user_id: int
    old_email: str


@dataclass(frozen=True)
class Pending:
    """A registration: the unverified account, and the verified one with its address, if any."""

    user_id: int
    email: str
    verified_at: datetime | None
    owner_id: int | None


@dataclass(frozen=True)
class RegistrationMail:
    """`state` and `answer` as in `mails`; None while there is none."""

    email: str
    verified_at: datetime | None
    state: str | None
    answer: str | None

    def fate(self) -> MailFate:
        """Only what is the same with and without an account: an owner gets one note a day, so
        whether a mail waits or left would tell."""
        if self.state == "failed":
            return "refused" if (self.answer or "").startswith("5") else "failed"
        return "refused" if self.state == "suppressed" else "queued"


SAID_OF_MAILS: dict[MailFate, str] = {
    "queued": "the mail is on its way; look among the junk, too",
    "refused": "the mail server did not take the mail: is the address right, and still in use?",
    "failed": "the mail could not be delivered; try again later",
}


def clean_name(text: str) -> str:
    """One visible line: a name goes into subjects and headers of mails."""
    name = unicodedata.normalize("NFC", text).strip()
    if len(name) > LONGEST_NAME:  # one sign may become two when it is spelt as it is stored
        raise AppError.invalid("name", f"must be text of at most {LONGEST_NAME}")
    if not name or any(map(_is_control, name)):
        raise AppError.invalid("name", "must be one line of text without control characters")
    if not any(map(_is_visible, name)):
        raise AppError.invalid("name", "must have a letter that can be seen")
    if _LINK.search(unicodedata.normalize("NFKC", name)):
        # Or anybody could have us mail their advertisement to any address.
        raise AppError.invalid("name", "must be a name, and no link, address or number to call")
    return name


def _is_visible(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LNS" and letter not in _BLANKS


def _is_control(letter: str) -> bool:
    """Also of letters without a shape, but for those that join others."""
    category = unicodedata.category(letter)
    return category in ("Cc", "Zl", "Zp", "Cs", "Co") or (
        category == "Cf" and letter not in _JOINERS
    )
