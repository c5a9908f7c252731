"""Tasks for the tests of the queue: `PROCRASTINATE_APP=tests.queue.tasks.app`."""

import asyncio
import os
import time
from typing import Any

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


@blueprint.job("slow", queue="default", timeout=0.2, retry=Backoff(retries=0))
async def slow(context: Context) -> None:
    await asyncio.sleep(30)


@blueprint.job("hanging", queue="default", timeout=0.2, retry=Backoff(retries=0))
def hanging(context: Context) -> None:
    time.sleep(30)


@blueprint.job("in_thread", queue="default")
def in_thread(context: Context, seconds: float) -> None:
    time.sleep(seconds)


@blueprint.job("to_thread", queue="default")
async def to_thread(context: Context, seconds: float) -> None:
    await asyncio.to_thread(time.sleep, seconds)


@blueprint.job("failing_thread", queue="default", retry=AT_ONCE)
def failing_thread(context: Context) -> None:
    time.sleep(0.5)
    raise RuntimeError("it went wrong")


@blueprint.job("deadly", queue="default")
async def deadly(context: Context) -> None:
    os._exit(9)


def make(url: str, **options: Any) -> App:
    app = App(url, make_context=lambda pool: {"pool": pool}, **options)
    app.add(blueprint)
    return app


def __getattr__(name: str) -> App:
    if name != "app":
        raise AttributeError(name)
    return make(os.environ["QUEUE_TEST_URL"])
