from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from activelog.base.units import Units
from activelog.mail.languages import LanguageCode

BounceKind = Literal["hard", "full", "soft", "refused", "complaint", "reply"]

# Codes that are about the mailbox, not about the mail or us (RFC 3463).
DEAD_MAILBOX = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1")

# What people can decide about, by list, with what their settings page calls it.
LISTS = {
    "weekly_summary": "Weekly summary",
    "weekly_idle": "Weekly summary after a week without activities, too",
    "monthly_report": "Monthly reports",
    "friend_request": "Friend requests",
    "friend_activity": "New activities of friends",
    "export_ready": "Exports that are ready",
}

# What the templates of a mail tell; None: there is nothing to tell any more, and it is skipped.
Content = Mapping[str, Any] | None


@dataclass(frozen=True)
class Claim:
    """A mail that this job may send. A state other than `sending` is the end of the mail."""

    id: int
    message_id: str
    state: str
    name: str
    email: str
    kind: str
    user_id: int
    dedup_key: str
    job_id: int
    units: Units
    language: LanguageCode
    was_refused: bool = False  # the address, some time ago
    attempts: int = 0  # with this one


@dataclass(frozen=True)
class MailKind:
    """A kind of mail: its templates' folder, the task that sends it and that task's queue.

    `key` names the argument of that task which tells mails of the kind to one person apart (their
    deduplication key); without it a person gets one, for as long as its row is kept.
    `content(services, claim)` reads what the mail tells, once it is sure that the mail is wanted.
    `fixture` is made-up content, for the preview and the templates' tests. `list` is what a person
    can unsubscribe from (None: not at all), `cap` how many of them one person gets within a day.
    `reason` completes "You get this mail …", at its foot.
    """

    name: str
    task: str
    queue: str
    key: str = ""
    content: Callable[[Any, Claim], Awaitable[Content]] | None = field(default=None, repr=False)
    fixture: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    list: str | None = None
    cap: int | None = None
    reason: str = "because of your ActiveLog account"


@dataclass(frozen=True)
class MailWanted:
    """A mail that a job wants to send; `message_id` is for one that has no row yet."""

    kind: MailKind
    user_id: int
    dedup_key: str
    job_id: int
    message_id: str


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended; `size` in bytes, when the mail was sent. `attempts`: which one it was,
    as its claim says; None: the latest."""

    mail_id: int
    state: str
    answer: str
    size: int | None = None
    attempts: int | None = None


@dataclass(frozen=True)
class Bounce:
    """`mail_id` is by the return path, `message_id` by the quoted mail; None and "" where there is
    none. A `reply` is one of a person, or of their machine, and no bounce."""

    kind: BounceKind
    said: str
    mail_id: int | None
    message_id: str


@dataclass(frozen=True)
class Bounced:
    """The mail that came back."""

    id: int
    kind: str
    user_id: int
    address: str
