"""Python queues on Redis, each with the same task as ours:
`python -m tests.bench.redis_apps NAME enqueue|work URL NUMBER`. A worker prints what
tests.bench.peer_apps prints."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol

from tests.bench.peer_apps import runs


class Peer(Protocol):
    def enqueue(self, number: int) -> None: ...

    def work(self, slots: int) -> None:
        """Until it is killed."""


def noop() -> None:
    runs.add()


class Celery:
    """Threads, as its task awaits nothing and processes would have to be counted."""

    def __init__(self, url: str) -> None:
        import celery

        self._app = celery.Celery(broker=url, set_as_current=False)
        self._app.conf.update(task_ignore_result=True, worker_redirect_stdouts=False)
        self._noop = self._app.task(name="noop")(noop)

    def enqueue(self, number: int) -> None:
        for _ in range(number):
            self._noop.delay()

    def work(self, slots: int) -> None:
        self._app.worker_main(
            ["worker", "--pool=threads", f"--concurrency={slots}", "--loglevel=error"]
        )


class Dramatiq:
    def __init__(self, url: str) -> None:
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker

        self._broker = RedisBroker(url=url)
        self._noop = dramatiq.actor(noop, broker=self._broker)

    def enqueue(self, number: int) -> None:
        for _ in range(number):
            self._noop.send()

    def work(self, slots: int) -> None:
        import dramatiq

        dramatiq.Worker(self._broker, worker_threads=slots).start()
        threading.Event().wait()


class Taskiq:
    def __init__(self, url: str) -> None:
        from taskiq_redis import ListQueueBroker

        self._broker = ListQueueBroker(url)

        async def awaited() -> None:
            noop()

        self._noop = self._broker.register_task(awaited, "noop")

    def enqueue(self, number: int) -> None:
        async def enqueue() -> None:
            await self._broker.startup()
            for _ in range(number):
                await self._noop.kiq()
            await self._broker.shutdown()

        asyncio.run(enqueue())

    def work(self, slots: int) -> None:
        from taskiq.api import run_receiver_task

        asyncio.run(run_receiver_task(self._broker, max_async_tasks=slots, run_startup=True))


class Huey:
    def __init__(self, url: str) -> None:
        import huey

        self._app = huey.RedisHuey("bench", url=url, results=False)
        self._noop = self._app.task(name="noop")(noop)

    def enqueue(self, number: int) -> None:
        for _ in range(number):
            self._noop()

    def work(self, slots: int) -> None:
        self._app.create_consumer(workers=slots, worker_type="thread").run()


PEERS: dict[str, Callable[[str], Peer]] = {
    "celery": Celery,
    "dramatiq": Dramatiq,
    "taskiq": Taskiq,
    "huey": Huey,
}


def _tell() -> None:
    while True:
        print(runs.first, runs.latest, runs.count, flush=True)
        time.sleep(0.1)


def _main(name: str, what: str, url: str, number: str) -> None:
    peer = PEERS[name](url)
    if what == "enqueue":
        peer.enqueue(int(number))
        return
    threading.Thread(target=_tell, daemon=True).start()
    peer.work(int(number))


if __name__ == "__main__":
    _main(*sys.argv[1:])
