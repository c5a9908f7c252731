"""procrastinate, hardened: `procrastinate worker` runs this Worker because App makes it.

The engine's tables, shell and SQL functions stay as they are, and a stock worker can run beside
ours; what differs is how our worker works them. README.md in this folder has the states of a job
and of a worker; `worker` is the loop, and what Postgres does for the queue stands in sql/queue.

The worker runs on asyncio's own loop: the engine's command starts it before any code of ours is
loaded, and uvloop brings nothing here (measured, interleaved: 24,100 jobs a second with 100 slots
against 24,200 without).

The overrides reach into private methods of the engine, so pyproject.toml pins its minor version,
and tests/test_private_names.py says which they are.
"""

from activelog.queue.app import App, chore
from activelog.queue.blueprint import AnyTask, Backoff, Blueprint, Context
from activelog.queue.worker import Side, Worker

__all__ = ["AnyTask", "App", "Backoff", "Blueprint", "Context", "Side", "Worker", "chore"]
