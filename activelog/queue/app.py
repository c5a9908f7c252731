"""The App that makes our Worker."""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import procrastinate
from procrastinate.app import WorkerOptions

from activelog import database
from activelog.queue.blueprint import Blueprint
from activelog.queue.limits import Limits
from activelog.queue.worker import Side, Worker

SHARES = {"critical": 6.0, "default": 3.0, "low": 1.0}


class App(procrastinate.App):
    """The engine's App. `make_context(pool)` gives what tasks find in `additional_context`. Behind
    a pooler `direct_url` leads past it; a process's pool has `db_connections` at most (None: two
    for each slot, and four). `sides` run beside the jobs of each worker; one that fails ends it."""

    connector: procrastinate.PsycopgConnector

    def __init__(
        self,
        url: str,
        *,
        make_context: Callable[[database.Pool], dict[str, Any]],
        direct_url: str | None = None,
        db_connections: int | None = None,
        strict_queues: bool = False,
        sides: Sequence[Side] = (),
    ) -> None:
        def make_pool(**_: object) -> database.Pool:
            return database.make_pool(
                url,
                max_size=db_connections,
                application="activelog worker",
                is_pooled=direct_url not in (None, url),
                timeout=30.0,  # seconds that a job waits for a connection
            )

        connector = procrastinate.PsycopgConnector(conninfo=url, pool_factory=make_pool)
        super().__init__(connector=connector, worker_defaults={"concurrency": 10})
        self.direct_url = direct_url or url
        self.db_connections = db_connections
        self.make_context = make_context
        self.timeouts: dict[str, float] = {}
        self.shares = None if strict_queues else SHARES
        self.limits = Limits()  # tests have shorter ones
        self.sides = sides

    def add(self, blueprint: Blueprint) -> None:
        self.add_tasks_from(blueprint, namespace="")
        self.timeouts |= blueprint.timeouts

    def _worker(self, **kwargs: Unpack[WorkerOptions]) -> Worker:
        # The one hook through which `procrastinate worker` makes its worker.
        options: dict[str, Any] = {**self.worker_defaults, **kwargs}
        context = self.make_context(self.connector.pool) | options.get("additional_context", {})
        options["additional_context"] = context
        return Worker(self, **options)
