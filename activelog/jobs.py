"""`app`, for `PROCRASTINATE_APP=activelog.jobs.app`: every task, on the database of the
environment. The only place beside `web` and `__main__` that knows the features."""

import os
import sys

from activelog import schedules
from activelog.accounts import tasks as accounts
from activelog.base import logs, traces
from activelog.base.errors import CommandError
from activelog.base.settings import Settings, SettingsError
from activelog.database import Pool, check_one_database
from activelog.exports import tasks as exports
from activelog.friends import tasks as friends
from activelog.imports import tasks as imports
from activelog.monthly_reports import tasks as monthly_reports
from activelog.operations import tasks as operations
from activelog.operations.chores import chores
from activelog.queue import App
from activelog.retention import tasks as retention
from activelog.services import Services, make_services
from activelog.statistics import tasks as statistics
from activelog.webhooks import tasks as webhooks

FEATURES = (
    accounts,
    exports,
    friends,
    imports,
    monthly_reports,
    operations,
    retention,
    statistics,
    webhooks,
)


def make_app(settings: Settings) -> App:
    def context(pool: Pool) -> dict[str, Services]:
        try:
            check_one_database(settings.database_url, settings.other_database_urls)
        except CommandError as error:
            sys.exit(f"activelog: {error}")
        traces.start("activelog worker")
        logs.set_up(as_json=settings.json_logs)  # the engine's command line has its own by now
        return {"services": make_services(settings, pool)}

    app = App(
        settings.database_url,
        direct_url=settings.direct_url,
        db_connections=settings.db_connections,
        make_context=context,
        strict_queues=settings.strict_queues,
        sides=[schedules.run_ticks, *chores()],
    )
    for feature in FEATURES:
        app.add(feature.blueprint)
    if settings.bounces_mailbox is not None:
        app.periodic(cron="*/5 * * * *")(app.tasks[operations.read_bounces.name])
    return app


def __getattr__(name: str) -> App:
    """Makes `app` when the engine asks for it: importing this module reads no environment."""
    if name != "app":
        raise AttributeError(name)
    try:
        return make_app(Settings.from_env(os.environ))
    except SettingsError as error:
        # The engine's command line would show a traceback.
        sys.exit(f"activelog: {error}")
