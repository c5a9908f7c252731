"""The public face of a job that somebody follows: its id, status, progress, result.

A ticket is opened in the transaction that asks for the work, together with its job, and completed
in the transaction that makes the result valid. Everything else that people want to know (is it
waiting, running, failed, how often was it tried) the engine's own row knows; it is read from
there instead of being copied, so the two cannot disagree.
"""

from activelog.tickets.model import JobStatus, Ticket
from activelog.tickets.queries import Line, cancel, complete, get, get_all, opening
from activelog.tickets.work import Work, working

__all__ = [
    "JobStatus",
    "Line",
    "Ticket",
    "Work",
    "cancel",
    "complete",
    "get",
    "get_all",
    "opening",
    "working",
]
