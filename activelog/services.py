"""What handlers and tasks work with, passed to them in one frozen value."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.requests import Request

from activelog.base.endings import Endings
from activelog.base.memo import Memo
from activelog.base.per_person import PerPerson
from activelog.base.processes import Offload
from activelog.base.settings import Settings
from activelog.database import Pool, Reader
from activelog.database.batching import Batcher
from activelog.database.notifications import Notifier
from activelog.mail import Outbox, Templates, make_mailer, make_signer
from activelog.queue import Context
from activelog.storage import Storage, make_storage


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Services:
    pool: Pool
    settings: Settings
    storage: Storage
    outbox: Outbox
    clock: Callable[[], datetime] = utc_now
    reader: Reader = field(kw_only=True, repr=False)
    batch: Batcher = field(kw_only=True, repr=False)
    ticket_notifier: Notifier = field(kw_only=True, repr=False)
    offload: Offload = field(default_factory=Offload, repr=False)
    downloads: PerPerson = field(default_factory=lambda: PerPerson("downloads", 2), repr=False)
    uploads: PerPerson = field(default_factory=lambda: PerPerson("uploads", 3), repr=False)
    photo_uploads: PerPerson = field(default_factory=lambda: PerPerson("photos", 20), repr=False)
    followers: PerPerson = field(default_factory=lambda: PerPerson("event streams", 10), repr=False)
    # Downloads that are read from Postgres by this process; each holds a connection.
    streams: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8), repr=False)
    endings: Endings = field(default_factory=Endings, repr=False)
    # By user id: until when this holds, and how many activities they may still log.
    activity_room: dict[int, tuple[float, int]] = field(default_factory=dict, repr=False)
    years: PerPerson = field(default_factory=lambda: PerPerson("years", 2), repr=False)
    memo: Memo = field(default_factory=Memo, repr=False)


def make_services(settings: Settings, pool: Pool) -> Services:
    batch = Batcher(pool)
    templates = Templates(settings.templates, settings.base_url, settings.support)
    return Services(
        pool=pool,
        settings=settings,
        storage=make_storage(settings),
        outbox=Outbox(
            settings, pool, batch, make_mailer(settings), templates, make_signer(settings)
        ),
        reader=Reader(
            pool,
            settings.database_replica_url,
            size=settings.db_connections,
            is_pooled=settings.is_pooled,
        ),
        batch=batch,
        ticket_notifier=Notifier(settings.direct_url, "activelog_tickets"),
    )


def close(services: Services) -> None:
    services.outbox.close()
    services.offload.close()
    services.ticket_notifier.close()


def of_request(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def of_job(context: Context) -> Services:
    services: Services = context.additional_context["services"]
    return services
