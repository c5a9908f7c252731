"""When a failed job runs again."""

import random
from dataclasses import dataclass

from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

from activelog.errors import Permanent


@dataclass(frozen=True)
class Backoff(BaseRetryStrategy):
    """`retries` more runs after the first one: 15 s, 60 s, 240 s later, ± 25 %, `cap` at most.

    The engine's own strategy has neither jitter nor cap. A Permanent failure is not retried.
    """

    retries: int = 3
    base: float = 15
    factor: float = 4
    cap: float = 600

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, Permanent) or job.attempts >= self.retries:
            return None
        delay = min(self.base * self.factor**job.attempts, self.cap)
        jitter = random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
        return RetryDecision(retry_in={"microseconds": int(delay * jitter * 1_000_000)})
