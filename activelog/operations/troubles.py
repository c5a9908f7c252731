"""What is wrong now, as the first lines of the overview say it: the cause, what to do, and the page
that shows it."""

from dataclasses import dataclass
from urllib.parse import quote

from activelog.base.formatting import counted
from activelog.operations.model import Number, Text, Yes


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong now; `kind` is a key of TROUBLES. `more`: jobs than were counted."""

    kind: Text
    subject: Text
    count: Number
    more: Yes = False

    def sentence(self) -> str:
        is_least = self.more or self.count >= _MOST_WAITING
        jobs = counted(self.count, "jobs") + (" and more" if is_least else "")
        times = counted(self.count, "times")
        sentence = TROUBLES[self.kind][0]
        return sentence.format(subject=self.subject, jobs=jobs, count=self.count, times=times)

    def link(self) -> str:
        """Where it shows."""
        return TROUBLES[self.kind][1].format(subject=quote(self.subject, safe=""))


_MOST_WAITING = 10_000  # so far a queue's jobs are counted


@dataclass(frozen=True)
class PostgresSession:
    """Of Postgres: its transaction is open for so many seconds; others wait for its locks."""

    pid: int
    application: str
    seconds: float
    waiting: int

    def trouble(self) -> Trouble:
        subject = f"{self.pid} ({self.application})"
        if self.waiting:
            return Trouble("lock", subject, self.waiting)
        return Trouble("transaction", subject, round(self.seconds / 60))


# What is wrong and what to do, and the page that shows it.
TROUBLES = {
    "lock": (
        (
            "The Postgres session {subject} holds a lock that others wait for: {count} of them."
            " Let it end, or end it with “SELECT pg_terminate_backend(…)” and its number."
        ),
        "/admin/jobs?status=doing",
    ),
    "transaction": (
        (
            "The transaction of the Postgres session {subject} has been open for {count} minutes:"
            " until it ends, no dead row is cleaned away, and the queue slows down."
        ),
        "/admin/jobs?status=doing",
    ),
    "no worker": (
        "No worker is alive: nothing is being done. Start one with “procrastinate worker”.",
        "/admin/jobs?status=todo",
    ),
    "nobody takes": (
        (
            "Jobs of {subject} wait, and no worker that is alive knows this task and takes its"
            " queue: {jobs}. Start a worker of the version that does, or cancel them if the name"
            " is wrong."
        ),
        "/admin/jobs?status=todo&task={subject}",
    ),
    "paused": (
        "The queue {subject} is paused with {jobs} in it: resume it below.",
        "/admin/jobs?status=todo&queue={subject}",
    ),
    "deaths": (
        (
            "Workers died, or froze, while they ran {subject}: {times} within two hours."
            " See below which workers, and ask the kernel's log whether memory ran out."
        ),
        "/admin/jobs?task={subject}",
    ),
    "waits": (
        (
            "The first job of {subject} has waited for more than five minutes, {jobs} wait: its"
            " page says for what. Start more workers, or see what hangs."
        ),
        "/admin/jobs?status=todo&queue={subject}",
    ),
    "fails": (
        (
            "{jobs} of {subject} failed for good, the last ones within an hour: see why, and retry"
            " them once it is mended."
        ),
        "/admin/jobs?status=failed&task={subject}",
    ),
    "full": (
        (
            "The queue {subject} runs as many jobs as its limit allows, and {jobs} wait, the first"
            " for more than five minutes: raise the limit below, or see what hangs."
        ),
        "/admin/jobs?status=doing&queue={subject}",
    ),
    "relay": (
        (
            "The mail relay refuses most mails, so it or we are the fault: they wait, for a day at"
            " most, and no address is given up. See what it answers, and ask “activelog doctor"
            " --mail”."
        ),
        "/admin/mails?state=queued",
    ),
    "relay away": (
        (
            "The mail relay cannot be reached: mails wait, and go out when it is back. See what"
            " “activelog doctor” says of it."
        ),
        "/admin/mails?state=queued",
    ),
    "schedule paused": (
        "The schedule {subject} has been paused for more than a day: resume it below.",
        "/admin/schedules",
    ),
    "schedule": (
        (
            "The last run of the schedule {subject} failed: look at its error, mend it, and run it"
            " by hand. This line stays until its next tick has succeeded."
        ),
        "/admin/schedules",
    ),
}
