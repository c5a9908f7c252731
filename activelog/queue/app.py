"""The App that makes our Worker."""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import procrastinate
import psycopg_pool
from procrastinate.app import WorkerOptions

from activelog import database
from activelog.queue.blueprint import Blueprint
from activelog.queue.limits import Limits
from activelog.queue.maintenance import Chore
from activelog.queue.worker import Worker

_PATIENCE = 30.0  # seconds that a job waits for a connection of the pool
SHARES = {"critical": 6.0, "default": 3.0, "low": 1.0}


class Connector(procrastinate.PsycopgConnector):
    """The engine's connector on our kind of pool: autocommit halves its round trips."""

    def __init__(self, url: str, direct_url: str, db_connections: int | None) -> None:
        super().__init__(conninfo=url)
        self.url, self.direct_url, self.db_connections = url, direct_url, db_connections

    async def _create_pool(
        self, pool_args: dict[str, Any]
    ) -> psycopg_pool.AsyncConnectionPool[Any]:
        return database.make_pool(
            self.url,
            max_size=self.db_connections,
            application="activelog worker",
            is_pooled=self.direct_url != self.url,
            timeout=_PATIENCE,
        )


class App(procrastinate.App):
    """The engine's App. `make_context(pool)` gives what tasks find in `additional_context`. Behind
    a pooler `direct_url` leads past it; a process's pool has `db_connections` at most (None: two
    for each slot, and four)."""

    connector: Connector

    def __init__(
        self,
        url: str,
        *,
        make_context: Callable[[database.Pool], dict[str, Any]],
        direct_url: str | None = None,
        db_connections: int | None = None,
        strict_queues: bool = False,
        limits: Limits | None = None,
        chores: Sequence[Chore] = (),
    ) -> None:
        connector = Connector(url, direct_url or url, db_connections)
        super().__init__(connector=connector, worker_defaults={"concurrency": 10})
        self.make_context = make_context
        self.timeouts: dict[str, float] = {}
        self.strict_queues = strict_queues
        self.limits = limits or Limits()
        self.chores = chores

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
            url=self.connector.direct_url,
            pool=self.connector.pool,
            timeouts=self.timeouts,
            shares=None if self.strict_queues else SHARES,
            connections=self.connector.db_connections,
            limits=self.limits,
            chores=self.chores,
            **options,
        )
