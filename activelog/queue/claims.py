"""What a worker asks for: from which queues, in what proportion, and where in each it begins to
look."""

import time
from collections.abc import Collection, Iterable, Mapping

from procrastinate.jobs import Job

_STRICT = {"critical": 1e12, "default": 1e8, "low": 1e4}  # others 1
_MOST_QUEUES = 100

FRONT = (2**31 - 1, 0)  # the highest priority that there is, and an id before all
_LOOK_AT_FRONT = 0.1  # seconds between two such looks,
_LOOK_SHARE = 4  # and so many times as long as one takes


class StrideScheduler:
    """How starts are shared among queues: each start of a queue moves its `pass` forward by
    1/weight; the next starts go to the queues that are furthest behind (claim_jobs in sql/queue
    does the choosing). `weights` None: strict order, a lower queue starts only what a higher one
    leaves, since the first start of a lower queue lies behind all of a higher one."""

    def __init__(self, weights: Mapping[str, float] | None) -> None:
        self._is_strict = weights is None
        self._weights = _STRICT if weights is None else weights
        self.passes: dict[str, float] = dict.fromkeys(self._weights, 0.0)

    def weights(self) -> list[float]:
        """In the order of `passes`."""
        return [self._weight(queue) for queue in self.passes]

    def started(self, queues: Iterable[str]) -> None:
        """Jobs of these queues: one for each start. A new queue starts level with the one that is
        furthest behind; of very many the oldest are forgotten, since each costs every claim."""
        level, latest = min(self.passes.values(), default=0.0), 0.0
        for queue in queues:
            last = 0.0 if self._is_strict else self.passes.get(queue, level)
            self.passes[queue] = last if self._is_strict else last + 1 / self._weight(queue)
            latest = max(latest, self.passes[queue])
        # An idle queue must not save up turns: nobody lags more than one start behind.
        kept = dict.fromkeys([*self._weights, *list(self.passes)[-_MOST_QUEUES:]])
        self.passes = {name: max(self.passes[name], latest - 1.0) for name in kept}

    def _weight(self, queue: str) -> float:
        return self._weights.get(queue, 1.0)


class ScanPositions:
    """Where a worker begins to look for jobs in each queue: a priority and an id.

    The index of what waits keeps an entry of each job that started since the last vacuum, and a
    claim would read them all: two milliseconds for every 500,000. So while there is more to do than
    slots, a worker begins where it found its last jobs; and ten times a second (less often when a
    look takes long) at the very front, where jobs with a higher priority come, and those that were
    handed back.
    """

    def __init__(self) -> None:
        self._positions: dict[str, tuple[int, int]] = {}
        self._front_at = 0.0  # the front, from this time on

    def of(self, queues: Collection[str]) -> list[tuple[int, int]]:
        if time.monotonic() > self._front_at:
            self._positions.clear()
        return [self._positions.get(queue, FRONT) for queue in queues]

    def found(self, jobs: Collection[Job], slots: int, seconds: float) -> bool:
        """`seconds` is how long the look took. False: there were fewer jobs than slots, and maybe
        some before where it began."""
        had_positions = bool(self._positions)
        if not had_positions:
            self._front_at = time.monotonic() + max(_LOOK_AT_FRONT, _LOOK_SHARE * seconds)
        if len(jobs) < slots:
            self._positions.clear()
            return not had_positions
        first: dict[str, tuple[int, int]] = {}
        for job in jobs:
            if job.lock is None:
                first.setdefault(job.queue, (job.priority, job.id or 0))
        self._positions |= first
        return True
