from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from activelog.queue.job_counters import BUCKETS

Unit = Literal["minute", "hour", "day"]
State = Literal[
    "waiting", "scheduled", "retrying", "blocked",
    "todo", "doing", "succeeded", "failed", "cancelled", "aborted",
]  # fmt: skip
Action = Literal["retry", "run_now", "cancel", "delete"]
MailState = Literal["queued", "sending", "sent", "skipped", "suppressed", "failed", "bounced"]

SITUATIONS = ("waiting", "scheduled", "retrying", "blocked")  # of a job that is todo
STATES = (*SITUATIONS, "todo", "doing", "failed", "aborted", "cancelled", "succeeded")
# By state: what can be done to such a job.
ACTIONS: dict[str, tuple[Action, ...]] = {
    "todo": ("run_now", "cancel"),
    "doing": ("cancel",),
    "failed": ("retry", "delete"),
    "aborted": ("retry", "delete"),
    "cancelled": ("retry", "delete"),
    "succeeded": ("delete",),
}


def actions_for(status: str, *, is_due: bool) -> tuple[Action, ...]:
    """What can be done to jobs of a state: one whose time has come is not told to run now."""
    return tuple(one for one in ACTIONS.get(status, ()) if one != "run_now" or not is_due)


class JobFilter(msgspec.Struct, forbid_unknown_fields=True):
    """`status`: what the job's row says, or one of SITUATIONS. `failure` is a group of errors, as
    the overview names it; `start_date` and `end_date`: when jobs came; `before`: an id, for
    paging."""

    status: State | None = None
    queue: Annotated[str, Meta(max_length=128)] | None = None
    task: Annotated[str, Meta(max_length=128)] | None = None
    text: Annotated[str, Meta(max_length=200)] | None = None
    failure: Annotated[str, Meta(pattern="^[0-9a-f]{32}(?!\\n)$")] | None = None
    start_date: Annotated[str, Meta(max_length=40)] | None = None
    end_date: Annotated[str, Meta(max_length=40)] | None = None
    before: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None

    @property
    def situation(self) -> str | None:
        return self.status if self.status in SITUATIONS else None

    @property
    def row_status(self) -> str | None:
        """What the job's row says."""
        return "todo" if self.situation else self.status

    def actions(self) -> tuple[Action, ...]:
        """What can be done to such jobs."""
        return actions_for(self.row_status or "", is_due=self.status in ("waiting", "blocked"))

    def what(self) -> dict[str, str | None]:
        """All of it but when."""
        names = ("status", "queue", "task", "text", "failure")
        return {name: getattr(self, name) for name in names}

    def fields(self) -> dict[str, str]:
        """As in a query string or a form, without the page."""
        found = self.what() | {"start_date": self.start_date, "end_date": self.end_date}
        return {name: value for name, value in found.items() if value}


class Switch(msgspec.Struct, forbid_unknown_fields=True):
    queue: Annotated[str, Meta(min_length=1, max_length=128, examples=["low"])]
    action: Annotated[Literal["pause", "resume"], Meta(examples=["pause"])]


class Limit(msgspec.Struct, forbid_unknown_fields=True):
    queue: Annotated[str, Meta(min_length=1, max_length=128, examples=["low"])]
    running: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)] | None,
        Meta(description="how many of its jobs may run at once; null: any number", examples=[5]),
    ] = None


# What one person may have running several times at once. (Imports compare with what is there, so
# they run one after the other.)
Work = Literal["exports"]
WORKS: tuple[Work, ...] = get_args(Work)


class GroupLimit(msgspec.Struct, forbid_unknown_fields=True):
    work: Annotated[Work, Meta(examples=["exports"])]
    running: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(description="how many of one person run at once; null: as usual", examples=[2]),
    ] = None


@dataclass(frozen=True)
class Group:
    """Of work that one person may have running several times at once."""

    work: Work
    running: int | None  # at once; None: as usual
    waiting: int  # for others of their person, outside of the queue


@dataclass(frozen=True)
class Ids:
    """Of jobs: `first` and all behind it up to but not including `last`."""

    first: int
    last: int


class MailFilter(msgspec.Struct, forbid_unknown_fields=True):
    """`person`: a number or an address; `said`: a part of a relay's answer or of a bounce."""

    state: MailState | None = None
    kind: Annotated[str, Meta(max_length=50, examples=["weekly_summary"])] | None = None
    person: Annotated[str, Meta(max_length=254, examples=["john@example.com"])] | None = None
    said: Annotated[str, Meta(max_length=100, examples=["5.7.1"])] | None = None
    before: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


# What fields of the admin API look like.
JobId = Annotated[int, Meta(examples=[4711])]
Number = Annotated[int, Meta(examples=[3])]
Yes = Annotated[bool, Meta(examples=[False])]
Text = Annotated[str, Meta(examples=["…"])]
QueueName = Annotated[str, Meta(examples=["default"])]
TaskName = Annotated[str, Meta(examples=["activelog.exports.generate"])]
Status = Annotated[str, Meta(examples=["failed"])]
Moment = Annotated[datetime, Meta(examples=["2024-01-15T06:30:00Z"])]
Counts = Annotated[dict[str, int], Meta(examples=[{"users": 3}])]


_TASK = Meta(max_length=128, examples=["activelog.cleanup.nightly"])


class RunNow(msgspec.Struct, forbid_unknown_fields=True):
    task: Annotated[str, _TASK]
    day: Annotated[date | None, Meta(description="today unless said", examples=["2024-01-15"])] = (
        None
    )


class SwitchSchedule(msgspec.Struct, forbid_unknown_fields=True):
    task: Annotated[str, _TASK]
    action: Annotated[Literal["pause", "resume"], Meta(examples=["pause"])]


class AuditQuery(msgspec.Struct, forbid_unknown_fields=True):
    before: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


class AuditPage(msgspec.Struct):
    """Newest first; `before` leads to the next page, null on the last one."""

    noted: "list[Noted]"
    before: int | None


class Ticked(msgspec.Struct, forbid_unknown_fields=True):
    action: Annotated[Action, Meta(examples=["retry"])]


class MailId(msgspec.Struct, forbid_unknown_fields=True):
    id: Annotated[int, Meta(ge=0, le=2**63 - 1, examples=[4711])]


_WAITED = "how many of those runs waited for at most " + (
    ", ".join(f"{bound:g}" for bound in BUCKETS) + " seconds, and longer"
)


@dataclass(frozen=True)
class Queue:
    queue: QueueName
    waiting: Number  # counted up to 10,000 in each way of waiting
    oldest: datetime | None  # since when the first in line waits
    later: Number
    running: Number
    succeeded: Number  # within a day, like the two that follow
    failed: Number  # for good
    stopped: Number  # aborted
    runs_per_minute: Annotated[float, Meta(description="of the last 15 minutes", examples=[12.5])]
    waited_buckets: Annotated[
        list[int], Meta(description=_WAITED, examples=[[8, 3, 1, 0, 0, 0, 0]])
    ]
    paused: Yes
    limit: Annotated[int | None, Meta(description="of jobs that run at once", examples=[5])]

    def waited(self) -> str:
        """Before 95 of 100 runs; nothing when there were none."""
        if not sum(self.waited_buckets):
            return ""
        bound = most_within(self.waited_buckets)
        return f"{bound:g} s at most" if bound else f"over {BUCKETS[-1]:g} s"


@dataclass(frozen=True)
class Slot:
    """A minute, an hour or a day of the charts."""

    at: Moment
    succeeded: Number
    failed: Number
    enqueued: Number
    waited: float | None  # seconds before a run, the mean
    seconds: float | None  # of a run, the mean
    waited_buckets: list[int]  # runs by queue.job_counters.BUCKETS
    seconds_buckets: list[int]
    waiting: Number  # in all queues together, the most at once
    workers_came: Number
    workers_died: Number


def most_within(buckets: Sequence[int]) -> float | None:
    """The bound of the histogram below which 95 of 100 lie; None: above all of them."""
    enough, seen = 0.95 * sum(buckets), 0
    for bound, count in zip(BUCKETS, buckets, strict=False):
        seen += count
        if seen >= enough:
            return bound
    return None


@dataclass(frozen=True)
class Worker:
    id: JobId
    last_heartbeat: Moment
    is_alive: Yes
    host: str | None  # that and what follows, a stock worker does not say
    pid: int | None
    slots: int | None
    queues: list[str] | None  # None: all
    started_at: datetime | None
    job_ids: list[int]
    tasks: list[str]

    @property
    def running(self) -> list[tuple[int, str]]:
        return list(zip(self.job_ids, self.tasks, strict=True))


@dataclass(frozen=True)
class Depth:
    """Of a queue; `oldest`: since when the job that waits longest has waited."""

    queue: str
    waiting: int
    oldest: datetime | None
    running: int
    paused: bool


@dataclass(frozen=True)
class Suppressed:
    """An address that gets no mails until then, and what the relay said of it."""

    address: Text
    answer: Text
    created_at: Moment
    until: Moment


@dataclass(frozen=True)
class Failure:
    """Errors of a task that differ in numbers, ids and quoted words only; `failure` names them."""

    task_name: TaskName
    failure: Text
    error: Text  # the newest
    runs: Number
    first_at: Moment
    last_at: Moment
    hours: list[int]  # runs in each of the last 24
    kinds: Number  # of errors, in all


@dataclass(frozen=True)
class StateCount:
    state: str
    count: int  # up to 10,000


@dataclass(frozen=True)
class JobHead:
    id: JobId
    status: Status
    queue: QueueName
    task: TaskName
    args: Text
    attempts: Number
    scheduled_at: datetime | None


@dataclass(frozen=True)
class JobRow(JobHead):
    created_at: datetime | None
    error: str | None
    blocked_by: int | None  # the job that runs and holds its lock

    def situation(self, now: datetime) -> str:
        """The state as people think of it."""
        if self.status == "doing":
            return "running"
        if self.status != "todo":
            return ""
        if self.scheduled_at and self.scheduled_at > now:
            return "retrying" if self.attempts else "scheduled"
        return "blocked" if self.blocked_by else "waiting"


@dataclass(frozen=True)
class Job(JobHead):
    priority: Number
    lock: str | None
    queueing_lock: str | None
    worker_id: int | None
    abort_requested: Yes


@dataclass(frozen=True)
class Hindrances:
    """What may keep a job from starting."""

    is_paused: Yes
    is_full: Yes  # as many of its queue run as may
    lock_holder: int | None
    alive: Number  # workers
    takers: Number  # of them, who know its task and take its queue


@dataclass(frozen=True)
class Event:
    type: Text
    at: Moment


@dataclass(frozen=True)
class RunError:
    attempt: Number
    at: Moment
    kind: Text
    error: Text
    traceback: str | None


@dataclass(frozen=True)
class Schedule:
    task_name: TaskName
    cron: str | None
    last_tick: Moment
    started_at: datetime | None
    finished_at: datetime | None
    outcome: str | None
    counts: dict[str, int] | None
    error: str | None
    paused_at: datetime | None
    seconds: list[float]  # that its last thirty runs took


@dataclass(frozen=True)
class Run:
    task_name: TaskName
    tick: datetime | None
    job_id: JobId
    started_at: Moment
    finished_at: datetime | None
    outcome: str | None
    counts: Counts
    error: str | None


@dataclass(frozen=True)
class Mail:
    id: JobId
    kind: Text
    user_id: Number
    dedup_key: Text
    state: Text
    attempts: Number
    answer: str | None
    size: int | None
    created_at: Moment
    finished_at: datetime | None
    bounce: str | None
    bounce_said: str | None


@dataclass(frozen=True)
class PastWorker:
    """`jobs`: numbers of those that ran when it, or another one beside it, died."""

    worker_id: Number
    host: str | None
    pid: int | None
    started_at: Moment
    ended_at: datetime | None
    died: Yes
    jobs: list[int]


@dataclass(frozen=True)
class SlowDomain:
    """Of which mails leave `seconds` apart, since its server said that too much came at once."""

    domain: Text
    seconds: Annotated[float, Meta(examples=[8])]
    next_at: Moment
    answer: Text
    slowed_at: Moment


@dataclass(frozen=True)
class MadeAdmin:
    user_id: int
    is_changed: bool


@dataclass(frozen=True)
class Noted:
    id: Number
    at: Moment
    action: Text
    subject: Text
    name: str | None
