"""procrastinate, hardened: `procrastinate worker` runs this Worker because App makes it.

The engine's tables, shell and SQL functions stay as they are, and a stock worker can run beside
ours; what differs is how our worker works them. Stock procrastinate leaves the jobs of a killed
worker in `doing`, lets a worker that was thought dead finish what another one runs, stops its
heartbeat while it drains, exits 0 when Postgres restarts, and makes eight round trips a job. Here
a worker claims as many jobs as it has free slots and writes the outcomes of those that ended in
one round trip (`exchange`), beats from a thread of its own (`heart`), and every worker rescues the
jobs of dead ones (`rescue_jobs`; what Postgres does for the queue stands in
sql/functions/queue.sql).

The worker runs on asyncio's own loop: the engine's command starts it before any code of ours is
loaded, and uvloop brings nothing here (24,100 jobs a second with 100 slots against 24,200 without,
7,700 against 8,400 with 10, a start after 1.7 ms both; mails 2,030 against 2,080; medians of
interleaved runs).

The overrides reach into private methods of the engine, so pyproject.toml pins its minor version.
"""

from activelog.queue.app import AnyTask, App, Blueprint, Context
from activelog.queue.retry import Backoff

__all__ = ["AnyTask", "App", "Backoff", "Blueprint", "Context"]
