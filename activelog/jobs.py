"""`app`, for `PROCRASTINATE_APP=activelog.jobs.app`: every task, on the database of the
environment. The only place beside `web` and `__main__` that knows the features."""

import os
import sys

from activelog import logs
from activelog.accounts import tasks as accounts
from activelog.activities import tasks as activities
from activelog.cleanup import tasks as cleanup
from activelog.db import Pool
from activelog.exports import tasks as exports
from activelog.friends import tasks as friends
from activelog.monitoring import tasks as monitoring
from activelog.queue import App
from activelog.reports import tasks as reports
from activelog.services import Services, make_services
from activelog.settings import Settings, SettingsError
from activelog.summaries import tasks as summaries

FEATURES = (accounts, activities, cleanup, exports, friends, monitoring, reports, summaries)


def make_app(settings: Settings) -> App:
    def context(pool: Pool) -> dict[str, Services]:
        logs.set_up(as_json=settings.json_logs)  # the engine's command line has its own by now
        return {"services": make_services(settings, pool)}

    app = App(settings.database_url, make_context=context, strict_queues=settings.strict_queues)
    for feature in FEATURES:
        app.add(feature.blueprint)
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
