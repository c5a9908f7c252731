"""A task with schedules, for tests: those of QUEUE_TEST_CRONS, a line each.

`PROCRASTINATE_APP=tests.queue.clockwork.app`
"""

import asyncio
import os

from activelog import schedules
from activelog.queue import Blueprint, Context
from tests.queue import tasks

blueprint = Blueprint()


@blueprint.job("ticking", queue="default", lock="ticking")
async def ticking(context: Context, timestamp: int, seconds: float = 0) -> None:
    await tasks.mark(context, "start")
    await asyncio.sleep(float(os.environ.get("QUEUE_TEST_SECONDS", "0")))
    await tasks.mark(context, "end")


app = tasks.make(os.environ["QUEUE_TEST_URL"], sides=[schedules.run_ticks])
app.add(blueprint)
for cron in os.environ["QUEUE_TEST_CRONS"].splitlines():
    app.periodic(cron=cron, periodic_id=cron)(ticking)
