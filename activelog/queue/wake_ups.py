"""Which of the workers that hear of a job looks for it first.

Every worker hears of every job. If all of them looked, an idle fleet would cost many times what its
jobs cost. So each worker puts those that are alive and serve the queue into an order, by a hash of
worker and job: the same order everywhere, another one for each job (rendezvous hashing). As many as
there are jobs look at once. The others follow a tenth of a second apart, and after a second all do:
a worker that is full, slow, stopped or dead delays a job by that tenth. Their order is the same for
many jobs in a row, so at a steady rate it is always the same few who look in vain.
"""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from heapq import nlargest

import msgspec

_STEP, _LONGEST = 0.1, 1.0  # seconds
_IN_A_ROW = 1024  # jobs

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
        found = msgspec.json.decode(payload)
        if found["type"] == "abort_job_requested":
            return int(found["job_id"])
        return Notice(int(found["job_id"]), str(found["queue"]), int(found["jobs"]))
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def seconds_to_wait(worker_id: int, peers: Peers, notice: Notice) -> float:
    """How long this worker leaves the jobs to those before it."""
    serving = [peer for peer, queues in peers if queues is None or notice.queue in queues]
    first = nlargest(notice.jobs, serving, key=lambda peer: _weight(peer, notice.job_id))
    if worker_id in first:
        return 0.0
    row = notice.job_id // _IN_A_ROW
    mine = _weight(worker_id, row)
    before = sum(_weight(peer, row) > mine for peer in serving if peer not in first)
    return min((before + 1) * _STEP, _LONGEST)


def _weight(worker_id: int, number: int) -> int:
    return zlib.crc32(b"%d %d" % (worker_id, number))
