import time
from datetime import datetime
from typing import Literal

import msgspec
from procrastinate.job_context import AbortReason
from procrastinate.jobs import Job

Status = Literal["todo", "succeeded", "failed", "aborted"]


class Run(msgspec.Struct):
    """Of a job that this worker claimed. One job may have two in a process: others took the worker
    for dead and put the job back, it claimed it again, and a thread of the first run goes on."""

    job: Job
    waited: float  # seconds since it could have started
    began: float = msgspec.field(default_factory=time.time)
    abort_reason: AbortReason | None = None


class Outcome(msgspec.Struct, frozen=True):
    """How one run of a job ended. Status `todo` means: run again at `retry_at`.

    `spent` is False when the run was handed back and does not count as an attempt. `seconds` is
    how long it ran, `waited` how long its job had to wait for it.
    """

    job: Job
    status: Status
    retry_at: datetime | None = None
    spent: bool = True
    error: BaseException | None = None
    seconds: float = 0.0
    waited: float = 0.0

    @property
    def event(self) -> str:
        """What it counts as."""
        if self.status != "todo":
            return self.status
        return "retried" if self.spent else "handed_back"


def name_of(job: Job) -> str:
    """For the log. (The engine's `call_string` shows arguments.)"""
    return f"{job.task_name}[{job.id}]"


def message_of(error: BaseException) -> str:
    """What it says; anybody's exception may fail at that, too."""
    try:
        return str(error)
    except Exception:
        return "(its message cannot be shown)"
