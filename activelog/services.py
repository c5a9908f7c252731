"""What handlers and tasks work with, passed to them in one frozen value."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from activelog import storage
from activelog.db import Pool
from activelog.feed import Feed
from activelog.mail import Mailer, Templates, make_mailer
from activelog.processes import Offload
from activelog.queue import Context
from activelog.settings import Settings
from activelog.storage import Storage
from activelog.together import Together


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Services:
    pool: Pool
    settings: Settings
    storage: Storage
    mailer: Mailer
    templates: Templates
    clock: Callable[[], datetime] = utc_now
    together: Together = field(kw_only=True, repr=False)
    tickets_feed: Feed = field(kw_only=True, repr=False)
    offload: Offload = field(default_factory=Offload, repr=False)
    # Downloads that are streamed by this process; each holds a connection.
    streams: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8), repr=False)
    # What may be a second old, with the time until which it is good.
    memo: dict[object, tuple[float, Any]] = field(default_factory=dict, repr=False)


def make_services(settings: Settings, pool: Pool) -> Services:
    return Services(
        pool=pool,
        settings=settings,
        storage=storage.make_storage(settings),
        mailer=make_mailer(settings),
        templates=Templates(settings.templates, settings.base_url),
        together=Together(pool),
        tickets_feed=Feed(settings.database_url, "activelog_tickets"),
    )


def close(services: Services) -> None:
    services.mailer.close()
    services.offload.close()
    services.tickets_feed.close()


def of_request(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def of_job(context: Context) -> Services:
    services: Services = context.additional_context["services"]
    return services
