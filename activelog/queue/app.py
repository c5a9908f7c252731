"""What features declare tasks with, and the App that makes our Worker."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, Unpack

import procrastinate
import psycopg_pool
from procrastinate import tasks
from procrastinate.app import WorkerOptions

from activelog import db
from activelog.queue.request_id import taking_request_id
from activelog.queue.retry import Backoff
from activelog.queue.runs import DEFAULT_TIMEOUT
from activelog.queue.worker import Worker

P = ParamSpec("P")
R = TypeVar("R")

Context = procrastinate.JobContext
AnyTask = tasks.Task[Any, Any, Any]

SHARES = {"critical": 6.0, "default": 3.0, "low": 1.0}


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
        runs again after a failure as `retry` says (three times unless told otherwise). Besides its
        own arguments it takes `request_id`, for the log.

        Its name stands in job rows and in people's shell history: it is an interface.
        """
        self.timeouts[name] = timeout
        declare = self.task(
            name=name, queue=queue, pass_context=True, retry=retry or Backoff(), lock=lock
        )
        return lambda function: declare(taking_request_id(function))


class Connector(procrastinate.PsycopgConnector):
    """The engine's connector on our kind of pool: autocommit halves its round trips."""

    def __init__(self, url: str) -> None:
        super().__init__(conninfo=url)
        self.url = url

    async def _create_pool(
        self, pool_args: dict[str, Any]
    ) -> psycopg_pool.AsyncConnectionPool[Any]:
        return db.make_pool(self.url, max_size=20, application="activelog worker")


class App(procrastinate.App):
    """The engine's App. `make_context(pool)` gives what tasks find in `additional_context`."""

    connector: Connector

    def __init__(
        self,
        url: str,
        *,
        make_context: Callable[[db.Pool], dict[str, Any]],
        strict_queues: bool = False,
    ) -> None:
        super().__init__(connector=Connector(url), worker_defaults={"concurrency": 10})
        self.make_context = make_context
        self.timeouts: dict[str, float] = {}
        self.strict_queues = strict_queues

    def add(self, blueprint: Blueprint) -> None:
        self.add_tasks_from(blueprint, namespace="")
        self.timeouts |= blueprint.timeouts

    def _worker(self, **kwargs: Unpack[WorkerOptions]) -> Worker:
        # The one hook through which `procrastinate worker` makes its worker.
        options: dict[str, Any] = {**self.worker_defaults, **kwargs}
        context = self.make_context(self.connector.pool) | options.get("additional_context", {})
        options["additional_context"] = context
        return Worker(
            app=self,
            url=self.connector.url,
            pool=self.connector.pool,
            timeouts=self.timeouts,
            shares=None if self.strict_queues else SHARES,
            **options,
        )
