"""What a worker's turn adds to job_counts: a row for each task, queue and way of ending."""

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from activelog.queue.end import End

# Upper bounds of the histograms, in seconds; one more counts what is longer.
BUCKETS = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0)
SLOTS = 64  # lines of the table that workers share


@dataclass
class _Sum:
    count: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    seconds_buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    waited_buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))

    def add(self, end: End) -> None:
        self.count += 1
        self.seconds += end.seconds
        self.waited += end.waited
        self.seconds_buckets[bisect_left(BUCKETS, end.seconds)] += 1
        self.waited_buckets[bisect_left(BUCKETS, end.waited)] += 1


def count_params(worker_id: int, ends: Collection[End]) -> dict[str, Any]:
    """In one order, so that two workers that share a line do not wait for each other in a ring."""
    sums: dict[tuple[str, str, str], _Sum] = {}
    for end in ends:
        sums.setdefault((end.job.task_name, end.job.queue, end.event), _Sum()).add(end)
    keys = sorted(sums)
    found = [sums[key] for key in keys]
    return {
        "slot": worker_id % SLOTS,
        "tasks": [task for task, _, _ in keys],
        "queues": [queue for _, queue, _ in keys],
        "events": [event for _, _, event in keys],
        "counts": [one.count for one in found],
        "seconds": [one.seconds for one in found],
        "waited": [one.waited for one in found],
        "seconds_buckets": [_array(one.seconds_buckets) for one in found],
        "waited_buckets": [_array(one.waited_buckets) for one in found],
    }


def _array(numbers: list[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"
