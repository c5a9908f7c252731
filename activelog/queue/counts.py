"""What a worker adds to job_counts: a row for each task, queue and way of ending."""

import time
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from activelog import db
from activelog.queue.end import End

# Upper bounds of the histograms, in seconds; one more counts what is longer.
BUCKETS = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0)
SLOTS = 64  # lines of the table that workers share
WRITE_SECONDS = 1.0  # under load


@dataclass
class _Sum:
    count: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    seconds_buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    waited_buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))

    def add(self, end: End, times: int) -> None:
        self.count += times
        self.seconds += times * end.seconds
        self.waited += times * end.waited
        self.seconds_buckets[bisect_left(BUCKETS, end.seconds)] += times
        self.waited_buckets[bisect_left(BUCKETS, end.waited)] += times


class Counts:
    """Adds up ends: a busy worker writes its counts once a second, and a killed one takes those of
    its last second with it. A run that another worker took over counts, too."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], _Sum] = {}
        self._written_at = 0.0

    def add(self, ends: Iterable[End], times: int = 1) -> None:
        for end in ends:
            key = (end.job.task_name, end.job.queue, end.event)
            self._sums.setdefault(key, _Sum()).add(end, times)

    def replace(self, end: End, another: End) -> None:
        self.add([end], -1)
        self.add([another])

    @property
    def are_pending(self) -> bool:
        return bool(self._sums)

    def due(self, *, is_busy: bool) -> dict[str, Any] | None:
        """What is to be written now, if anything. In one order, so that two workers that share a
        line do not wait for each other in a ring."""
        if not self._sums or (is_busy and time.monotonic() < self._written_at + WRITE_SECONDS):
            return None
        keys = sorted(self._sums)
        found = [self._sums[key] for key in keys]
        return {
            "tasks": [task for task, _, _ in keys],
            "queues": [queue for _, queue, _ in keys],
            "events": [event for _, _, event in keys],
            "counts": [one.count for one in found],
            "seconds": [one.seconds for one in found],
            "waited": [one.waited for one in found],
            "seconds_buckets": [db.array(one.seconds_buckets) for one in found],
            "waited_buckets": [db.array(one.waited_buckets) for one in found],
        }

    def written(self) -> None:
        self._sums.clear()
        self._written_at = time.monotonic()
