"""Other Python queues that keep their jobs in Postgres, each with the same task as ours:
`python -m tests.bench.peer_apps NAME enqueue|work URL NUMBER`.

A worker prints the monotonic times of its first and its latest run and how many there were, every
tenth of a second, so that nobody must ask the database while it is measured.
"""

import asyncio
import sys
import time

import uvloop


class Runs:
    def __init__(self) -> None:
        self.first, self.latest, self.count = 0.0, 0.0, 0

    def add(self) -> None:
        self.latest = time.monotonic()
        self.first = self.first or self.latest
        self.count += 1

    async def tell(self) -> None:
        while True:
            print(self.first, self.latest, self.count, flush=True)
            await asyncio.sleep(0.1)


runs = Runs()


class PgQueuer:
    """With asyncpg, which it is fastest with, and all tables logged, which is its default."""

    async def enqueue(self, url: str, number: int) -> None:
        import asyncpg
        from pgqueuer.db import AsyncpgDriver
        from pgqueuer.queries import Queries

        queries = Queries(AsyncpgDriver(await asyncpg.connect(url)))
        if not await queries.has_table("pgqueuer"):
            await queries.install()
        for _ in range(0, number, 1000):
            await queries.enqueue(["noop"] * 1000, [None] * 1000, [0] * 1000)

    async def work(self, url: str, slots: int) -> None:
        import asyncpg
        import pgqueuer
        from pgqueuer.db import AsyncpgPoolDriver

        pool = await asyncpg.create_pool(url, min_size=2, max_size=4)
        app = pgqueuer.PgQueuer(AsyncpgPoolDriver(pool))

        async def noop(job: object) -> None:
            runs.add()

        app.entrypoint("noop")(noop)
        await app.run(batch_size=slots)


class Saq:
    async def enqueue(self, url: str, number: int) -> None:
        import saq

        queue = saq.Queue.from_url(url)
        await queue.connect()
        for _ in range(number):
            await queue.enqueue("noop")
        await queue.disconnect()

    async def work(self, url: str, slots: int) -> None:
        import saq

        async def noop(context: object) -> None:
            runs.add()

        queue = saq.Queue.from_url(url)
        await queue.connect()
        await saq.Worker(queue, functions=[("noop", noop)], concurrency=slots).start()


PEERS: dict[str, type[PgQueuer | Saq]] = {"pgqueuer": PgQueuer, "saq": Saq}


async def _main(name: str, what: str, url: str, number: str) -> None:
    peer = PEERS[name]()
    if what == "enqueue":
        await peer.enqueue(url, int(number))
        return
    telling = asyncio.create_task(runs.tell())
    await peer.work(url, int(number))
    telling.cancel()


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))  # as pgqueuer's own command does
