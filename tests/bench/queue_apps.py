"""The same task for both workers of the benchmark: ours, and stock procrastinate's."""

import os

import procrastinate

from activelog.queue import App, Blueprint, Context

_URL = os.environ.get("QUEUE_BENCH_URL", "")

blueprint = Blueprint()


@blueprint.job("noop", queue="default")
async def noop(context: Context) -> None:
    pass


ours = App(_URL, make_context=lambda pool: {})
ours.add(blueprint)

stock = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=_URL))


@stock.task(name="noop", queue="default", pass_context=True, retry=3)
async def stock_noop(context: procrastinate.JobContext) -> None:
    pass
