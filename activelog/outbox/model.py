from dataclasses import dataclass

# What people can decide about, by list, with what their settings page calls it.
LISTS = {
    "weekly_summary": "Weekly summary",
    "weekly_idle": "Weekly summary after a week without activities, too",
    "monthly_report": "Monthly reports",
    "friend_request": "Friend requests",
    "friend_activity": "New activities of friends",
    "export_ready": "Exports that are ready",
}


@dataclass(frozen=True)
class Kind:
    """A kind of mail: its templates' folder, the task that sends it and that task's queue.

    `list` is what a person can unsubscribe from (None: not at all), `cap` how many of them one
    person gets within a day.
    """

    name: str
    task: str
    queue: str
    list: str | None = None
    cap: int | None = None


@dataclass(frozen=True)
class MailWanted:
    """A mail that a job wants to send; `message_id` is for one that has no row yet."""

    kind: Kind
    user_id: int
    occasion: str
    job_id: int
    message_id: str


@dataclass(frozen=True)
class Claim:
    """A state other than `sending` is the end of the mail."""

    id: int
    message_id: str
    state: str
    name: str
    email: str
    kind: str
    user_id: int
    occasion: str
    job_id: int


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended; `size` in bytes, when the mail was sent."""

    mail_id: int
    state: str
    answer: str
    size: int | None = None
