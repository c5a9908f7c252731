"""What features declare tasks with."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import procrastinate
from procrastinate import BaseRetryStrategy, RetryDecision, tasks
from procrastinate.jobs import Job

from activelog.base.errors import Permanent

P = ParamSpec("P")
R = TypeVar("R")

Context = procrastinate.JobContext
AnyTask = tasks.Task[Any, Any, Any]

DEFAULT_TIMEOUT = 300.0  # seconds, of a task that does not say


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


class Blueprint(procrastinate.Blueprint):
    """A feature's tasks. `timeouts` holds seconds by task name."""

    def __init__(self) -> None:
        super().__init__()
        self.timeouts: dict[str, float] = {}

    def job(
        self,
        name: str,
        *,
        queue: str,
        timeout: float = DEFAULT_TIMEOUT,
        retry: Backoff | None = None,
        lock: str | None = None,
    ) -> Callable[
        [Callable[Concatenate[Context, P], R]], tasks.Task[Concatenate[Context, P], R, P]
    ]:
        """Declares a task. It gets its Context first, runs for `timeout` seconds at most, and
        runs again after a failure as `retry` says (three times unless told otherwise).

        Its name stands in job rows and in people's shell history: it is an interface.
        """
        self.timeouts[name] = timeout
        return self.task(
            name=name, queue=queue, pass_context=True, retry=retry or Backoff(), lock=lock
        )
