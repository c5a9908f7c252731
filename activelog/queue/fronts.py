"""Where a worker begins to look for jobs in each queue.

The index of what waits keeps an entry of each job that started since the last vacuum, and a claim
would read them all: two milliseconds for every 500,000. So while there is more to do than slots, a
worker begins where it found its last jobs; and ten times a second (less often when a look takes
long) at the very front, where jobs with a higher priority come, and those that were handed back.
"""

import time
from collections.abc import Collection

from procrastinate.jobs import Job

FRONT = (2**31 - 1, 0)  # the highest priority that there is, and an id before all
LOOK_AT_FRONT = 0.1  # seconds between two such looks,
LOOK_SHARE = 4  # and so many times as long as one takes

Place = tuple[int, int]  # priority and id


class Fronts:
    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._look_at = 0.0
        self._looks_since: float | None = None

    def of(self, queues: Collection[str]) -> list[Place]:
        now = time.monotonic()
        if now > self._look_at:
            self._looks_since = now
            self._places.clear()
        return [self._places.get(queue, FRONT) for queue in queues]

    def claimed(self, jobs: Collection[Job], slots: int) -> bool:
        """False: there were fewer than slots, and maybe some before where the look began."""
        if self._looks_since is not None:
            now = time.monotonic()
            self._look_at = now + max(LOOK_AT_FRONT, LOOK_SHARE * (now - self._looks_since))
            self._looks_since = None
        if len(jobs) < slots:
            had_places = bool(self._places)
            self._places.clear()
            return not had_places
        found: dict[str, Place] = {}
        for job in jobs:
            if job.lock is None and job.scheduled_at is None:
                found.setdefault(job.queue, (job.priority, job.id or 0))
        self._places |= found
        return True
