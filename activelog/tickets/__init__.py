"""The public face of a job that somebody follows: its id, status, progress, result.

A ticket is opened in the transaction that asks for the work, together with its job, and completed
in the transaction that makes the result valid. Everything else that people want to know (is it
waiting, running, failed, how often was it tried) the engine's own row knows; it is read from
there instead of being copied, so the two cannot disagree. Tickets of one concurrency group run a
few at a time: those that wait for their turn have no job yet, and are in nobody's way in the queue.
"""

from activelog.tickets.model import JobAccepted, JobStatus, Ticket
from activelog.tickets.queries import (
    ConcurrencyGroup,
    add_done,
    cancel,
    complete,
    get,
    get_all,
    opening,
)
from activelog.tickets.tracking import TrackedJob, tracking

__all__ = [
    "ConcurrencyGroup",
    "JobAccepted",
    "JobStatus",
    "Ticket",
    "TrackedJob",
    "add_done",
    "cancel",
    "complete",
    "get",
    "get_all",
    "opening",
    "tracking",
]
