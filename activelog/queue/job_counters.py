"""What a worker adds to job_outcomes: a row for each task, queue and way of ending."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from activelog import database
from activelog.queue.outcome import Outcome

# Upper bounds of the histograms, in seconds; one more counts what is longer.
BUCKETS = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0)


@dataclass
class _Sum:
    count: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    seconds_buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    waited_buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))

    def add(self, outcome: Outcome) -> None:
        self.count += 1
        self.seconds += outcome.seconds
        self.waited += outcome.waited
        self.seconds_buckets[bisect_left(BUCKETS, outcome.seconds)] += 1
        self.waited_buckets[bisect_left(BUCKETS, outcome.waited)] += 1


class JobCounters:
    """Adds up outcomes that were written; a worker writes its counts once a second, and a killed
    one takes those of its last second with it."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], _Sum] = {}

    def add(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            key = (outcome.job.task_name, outcome.job.queue, outcome.event)
            self._sums.setdefault(key, _Sum()).add(outcome)

    def take(self) -> dict[str, Any] | None:
        """What is to be written, as the statement's parameters; None for nothing."""
        taken, self._sums = self._sums, {}
        if not taken:
            return None
        return {
            "tasks": [task for task, _, _ in taken],
            "queues": [queue for _, queue, _ in taken],
            "events": [event for _, _, event in taken],
            "counts": [one.count for one in taken.values()],
            "seconds": [one.seconds for one in taken.values()],
            "waited": [one.waited for one in taken.values()],
            "seconds_buckets": [database.array(one.seconds_buckets) for one in taken.values()],
            "waited_buckets": [database.array(one.waited_buckets) for one in taken.values()],
        }
