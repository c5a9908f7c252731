"""The App that makes our Worker."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Unpack

import procrastinate
from procrastinate.app import WorkerOptions

from activelog import database
from activelog.database import Conn
from activelog.queue.blueprint import Blueprint
from activelog.queue.limits import Limits
from activelog.queue.worker import Side, Worker

_POOL_TIMEOUT = 30.0  # seconds that a job waits for a connection of the pool
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
        limits: Limits | None = None,
        sides: Sequence[Side] = (),
    ) -> None:
        def make_pool(**_: object) -> database.Pool:
            return database.make_pool(
                url,
                max_size=db_connections,
                application="activelog worker",
                is_pooled=direct_url not in (None, url),
                timeout=_POOL_TIMEOUT,
            )

        connector = procrastinate.PsycopgConnector(conninfo=url, pool_factory=make_pool)
        super().__init__(connector=connector, worker_defaults={"concurrency": 10})
        self.direct_url = direct_url or url
        self.db_connections = db_connections
        self.make_context = make_context
        self.timeouts: dict[str, float] = {}
        self.strict_queues = strict_queues
        self.limits = limits or Limits()
        self.sides = sides

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
            url=self.direct_url,
            pool=self.connector.pool,
            timeouts=self.timeouts,
            shares=None if self.strict_queues else SHARES,
            connections=self.db_connections,
            limits=self.limits,
            sides=self.sides,
            **options,
        )


def chore(interval: float, work: Callable[[Conn], Awaitable[object]]) -> Side:
    """A side that does what one worker does for all: the one that leads, every `interval` seconds,
    and again at once while `work` returns True. Each time is to be short, since rescuing waits for
    it. For a moment two workers may do it, and it must bear that."""

    async def side(worker: Worker) -> None:
        while True:
            await asyncio.sleep(interval)
            has_more: object = True
            while has_more and worker.is_leader:
                has_more = await worker.side_connection(work)

    return side
