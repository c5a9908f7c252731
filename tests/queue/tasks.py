"""Tasks for the tests of the queue: `PROCRASTINATE_APP=tests.queue.tasks.app`."""

import asyncio
import os
import time
from contextlib import suppress
from typing import Any

from procrastinate.exceptions import JobAborted

from activelog.queue import App, Backoff, Blueprint, Context

blueprint = Blueprint()
AT_ONCE = Backoff(base=0)


async def mark(context: Context, what: str) -> None:
    async with context.additional_context["pool"].connection() as conn:
        await conn.execute(
            "INSERT INTO marks (job_id, pid, what) VALUES (%s, %s, %s)",
            [context.job.id, os.getpid(), what],
        )


@blueprint.job("noop", queue="default")
async def noop(context: Context) -> None:
    pass


@blueprint.job("marked", queue="default")
async def marked(context: Context, seconds: float = 0) -> None:
    await mark(context, "start")
    await asyncio.sleep(seconds)
    await mark(context, "end")


@blueprint.job("blocking", queue="default")
async def blocking(context: Context, seconds: float) -> None:
    """Holds up its worker's event loop."""
    await mark(context, "start")
    time.sleep(seconds)  # noqa: ASYNC251 - that is what it is for


@blueprint.job("stubborn", queue="default")
async def stubborn(context: Context) -> None:
    """Does not heed a cancellation."""
    await mark(context, "start")
    for _ in range(600):
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            continue


@blueprint.job("failing", queue="default", retry=AT_ONCE)
async def failing(context: Context) -> None:
    await mark(context, "start")
    raise RuntimeError("it went wrong")


@blueprint.job("failing_later", queue="default", retry=AT_ONCE)
async def failing_later(context: Context, seconds: float) -> None:
    await asyncio.sleep(seconds)
    raise RuntimeError("it went wrong")


@blueprint.job("slow", queue="default", timeout=0.2, retry=Backoff(retries=0))
async def slow(context: Context) -> None:
    await asyncio.sleep(30)


@blueprint.job("hanging", queue="default", timeout=0.2, retry=Backoff(retries=0))
def hanging(context: Context) -> None:
    time.sleep(30)


@blueprint.job("in_thread", queue="default")
def in_thread(context: Context, seconds: float) -> None:
    time.sleep(seconds)


SEEN: list[bool] = []


@blueprint.job("looking_up", queue="default")
def looking_up(context: Context, seconds: float) -> None:
    """Notes at its beginning and at its end whether it is to stop."""
    SEEN.append(context.should_abort())
    time.sleep(seconds)
    SEEN.append(context.should_abort())


@blueprint.job("to_thread", queue="default")
async def to_thread(context: Context, seconds: float) -> None:
    await asyncio.to_thread(time.sleep, seconds)


@blueprint.job("hanging_to_thread", timeout=0.2, queue="default", retry=Backoff(retries=0))
async def hanging_to_thread(context: Context) -> None:
    await asyncio.to_thread(time.sleep, 60)


@blueprint.job("failing_thread", queue="default", retry=AT_ONCE)
def failing_thread(context: Context) -> None:
    time.sleep(1.5)
    raise RuntimeError("it went wrong")


@blueprint.job("deadly", queue="default")
async def deadly(context: Context, seconds: float = 0) -> None:
    await asyncio.sleep(seconds)
    os._exit(9)


@blueprint.job("reviving", queue="default")
async def reviving(context: Context, job_id: int) -> None:
    """Puts a job that has ended back into its place."""
    async with context.additional_context["pool"].connection() as conn:
        await conn.execute("UPDATE procrastinate_jobs SET status = 'todo' WHERE id = %s", [job_id])


# Ways to end that are none


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Undecided(Backoff):
    def get_retry_decision(self, **_: Any) -> Any:
        raise RuntimeError("to retry or not to retry")


@blueprint.job("unspeakable", queue="default", retry=AT_ONCE)
async def unspeakable(context: Context) -> None:
    raise Unspeakable


@blueprint.job("undecided", queue="default", retry=Undecided())
async def undecided(context: Context) -> None:
    raise ValueError("it went wrong")


@blueprint.job("exiting", queue="default", retry=AT_ONCE)
async def exiting(context: Context) -> None:
    raise SystemExit(3)


@blueprint.job("exiting_thread", queue="default", retry=AT_ONCE)
def exiting_thread(context: Context) -> None:
    raise SystemExit(3)


@blueprint.job("stopping_iteration", queue="default", retry=AT_ONCE)
def stopping_iteration(context: Context) -> None:
    raise StopIteration


@blueprint.job("cancelling_itself", queue="default", retry=AT_ONCE)
async def cancelling_itself(context: Context) -> None:
    await mark(context, "start")
    raise asyncio.CancelledError


@blueprint.job("polite", queue="default", retry=AT_ONCE)
async def polite(context: Context) -> None:
    """As the engine's documentation has it."""
    await mark(context, "start")
    for _ in range(600):
        if context.should_abort():
            raise JobAborted
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)


@blueprint.job("polite_thread", queue="default", retry=AT_ONCE)
def polite_thread(context: Context) -> None:
    for _ in range(600):
        if context.should_abort():
            raise JobAborted
        time.sleep(0.1)


@blueprint.job("failing_to_clean_up", queue="default", retry=Backoff(retries=0))
async def failing_to_clean_up(context: Context) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        raise RuntimeError("the clean-up went wrong")


def make(url: str, **options: Any) -> App:
    app = App(url, make_context=lambda pool: {"pool": pool}, **options)
    app.add(blueprint)
    return app


next_version = Blueprint()


@next_version.job("from_the_next_version", queue="default")
async def from_the_next_version(context: Context) -> None:
    pass


def __getattr__(name: str) -> App:
    if name not in ("app", "next_app"):
        raise AttributeError(name)
    app = make(os.environ["QUEUE_TEST_URL"])
    if name == "next_app":
        app.add(next_version)
    return app
