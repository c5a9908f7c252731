"""How a worker's starts are shared among queues: stride scheduling.

Each start of a queue moves its `pass` forward by 1/weight; the next starts go to the queues that
are furthest behind (claim_jobs in sql/functions/queue.sql does the choosing).
"""

from collections.abc import Iterable, Mapping

_MOST = 100
_STRICT_ORDER = ("critical", "default", "low")


class Shares:
    """`weights` None: strict order, a lower queue starts only what a higher one leaves."""

    def __init__(self, weights: Mapping[str, float] | None) -> None:
        self._weights = weights
        self.passes: dict[str, float] = {}

    def add(self, queues: Iterable[str]) -> bool:
        """Learns queues; True if one is new. It starts level with the others. Of very many only
        these are kept: each one costs every claim a little."""
        queues = list(queues)
        new = [queue for queue in queues if queue not in self.passes]
        level = min(self.passes.values(), default=0.0)
        if len(self.passes) + len(new) > _MOST:
            self.passes = {name: place for name, place in self.passes.items() if name in queues}
        self.passes |= dict.fromkeys(new, level)
        return bool(new)

    def weights(self) -> list[float]:
        """In the order of `passes`."""
        return [self._weight(queue) for queue in self.passes]

    def started(self, queues: Iterable[str]) -> None:
        """Jobs of these queues: one for each start."""
        if self._weights is None:
            return
        latest = 0.0
        for queue in queues:
            self.passes[queue] = self.passes.get(queue, 0.0) + 1 / self._weight(queue)
            latest = max(latest, self.passes[queue])
        # An idle queue must not save up turns: nobody lags more than one start behind.
        self.passes = {name: max(value, latest - 1.0) for name, value in self.passes.items()}

    def _weight(self, queue: str) -> float:
        if self._weights is not None:
            return self._weights.get(queue, 1.0)
        # So far apart that the first start of a lower queue lies behind all of a higher one.
        rank = _STRICT_ORDER.index(queue) if queue in _STRICT_ORDER else len(_STRICT_ORDER)
        return float(10_000 ** (len(_STRICT_ORDER) - rank))
