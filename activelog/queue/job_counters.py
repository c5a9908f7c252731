"""What a worker adds to job_outcomes: a row for each task, queue and way of ending."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from activelog.queue.outcome import Outcome

# Upper bounds of the histograms, in seconds; one more counts what is longer.
BUCKETS = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0)


def add_up(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    groups: defaultdict[tuple[str, str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.job.task_name, outcome.job.queue, outcome.event].append(outcome)
    return [
        {
            "task": task,
            "queue": queue,
            "event": event,
            "count": len(group),
            "seconds": sum(outcome.seconds for outcome in group),
            "waited": sum(outcome.waited for outcome in group),
            "seconds_buckets": _histogram(outcome.seconds for outcome in group),
            "waited_buckets": _histogram(outcome.waited for outcome in group),
        }
        for (task, queue, event), group in groups.items()
    ]


def _histogram(values: Iterable[float]) -> list[int]:
    counts = [0] * (len(BUCKETS) + 1)
    for value in values:
        counts[bisect_left(BUCKETS, value)] += 1
    return counts
