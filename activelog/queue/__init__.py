"""procrastinate, hardened: `procrastinate worker` runs this Worker because App makes it.

README.md in this folder says what stays as it is and what differs, with the states of a job and of
a worker. A stock worker can run beside ours, for tasks of its own.

The overrides reach into private methods of the engine, so pyproject.toml pins its minor version,
and tests/test_private_names.py says which they are.
"""

from activelog.queue.app import App
from activelog.queue.blueprint import AnyTask, Backoff, Blueprint, Context
from activelog.queue.worker import Side, Worker

__all__ = ["AnyTask", "App", "Backoff", "Blueprint", "Context", "Side", "Worker"]
