"""What one worker does for the operator's pages: counts, depths of queues, words to search by."""

import asyncio
from collections.abc import Awaitable, Callable

from activelog.database import Conn
from activelog.operations import queries
from activelog.queue import Side, Worker


class WordNoter:
    """Makes jobs findable by their words, some at each call; True while there are more. It takes
    those that were there when it came to its end before: of a block, a job with a lower id may
    still be on its way for a minute."""

    def __init__(self) -> None:
        self._newest = 0

    async def __call__(self, conn: Conn) -> bool:
        if await queries.note_words(conn, self._newest + 1):
            return True
        self._newest = await queries.newest_job(conn)
        return False


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


def chores() -> list[Side]:
    return [
        chore(10, queries.fold_counts),
        chore(10, queries.note_depths),  # a peak is seen when it lasts
        chore(60, WordNoter()),
    ]
