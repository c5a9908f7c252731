"""Which of the workers that hear of a job looks for it first.

Every worker hears of every job. If all of them looked, an idle fleet would cost many times what its
jobs cost. So each worker puts those that are alive and serve the queue into an order, by a hash of
worker and job: the same order everywhere, another one for each job (rendezvous hashing). As many as
there are jobs look at once, each next one a tenth of a second later, and after a second all do. A
worker that is full, slow, stopped or dead delays a job by that tenth.
"""

import json
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_STEP, _LONGEST = 0.1, 1.0  # seconds

Peers = Sequence[tuple[int, Collection[str] | None]]  # ids of workers, and their queues (None: all)


@dataclass(frozen=True)
class Notice:
    """New jobs of one queue: the id of the last one, and how many."""

    job_id: int
    queue: str
    jobs: int


def read_notification(payload: str) -> Notice | int | None:
    """The id of a job that is to be aborted; or what to look for, None: for anything. (The engine
    names no queue, and anybody can send on its channels.)"""
    try:
        found = json.loads(payload)
        if found["type"] == "abort_job_requested":
            return int(found["job_id"])
        return Notice(int(found["job_id"]), str(found["queue"]), int(found["jobs"]))
    except (ValueError, TypeError, LookupError):
        return None


def seconds_to_wait(worker_id: int, peers: Peers, notice: Notice) -> float:
    """How long this worker leaves the jobs to those before it."""
    mine = _weight(worker_id, notice.job_id)
    before = sum(
        _weight(peer, notice.job_id) > mine
        for peer, queues in peers
        if queues is None or notice.queue in queues
    )
    return min(max(0, before + 1 - notice.jobs) * _STEP, _LONGEST)


def _weight(worker_id: int, job_id: int) -> int:
    return zlib.crc32(b"%d %d" % (worker_id, job_id))
