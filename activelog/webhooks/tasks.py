import asyncio
import time
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from activelog import database, tickets
from activelog.activities import queries as activities
from activelog.database import Conn, until_written
from activelog.mail import add_mail_jobs
from activelog.queue import Backoff, Blueprint, Context
from activelog.services import Services, of_job
from activelog.tickets.routes import status_of
from activelog.webhooks import queries
from activelog.webhooks.mails import DISABLED, MAILS
from activelog.webhooks.model import Due
from activelog.webhooks.sending import NotDelivered, post, secret_of, sign

_PATIENT = Backoff(retries=7, base=30, factor=4, cap=6 * 3600)  # 30 s, 2 min … 6 h: most of a day

blueprint = Blueprint()
add_mail_jobs(blueprint, *MAILS)


@blueprint.job("activelog.webhooks.deliver", queue="low", timeout=60, retry=_PATIENT)
async def deliver(context: Context, delivery_id: str) -> None:
    """Posts an event. A second run finds it delivered; one whose answer was lost posts it again,
    under the same webhook-id."""
    services = of_job(context)
    async with services.pool.connection() as conn:
        due = await queries.get(conn, UUID(delivery_id))
        data = await _data(services, conn, due) if due else None
    if due is None:
        return
    if data is None:  # what it is about is deleted
        async with services.pool.connection() as conn:
            await queries.drop(conn, due.id, "nothing to tell: it is deleted")
        return
    try:
        answer = await _post(services, due, data)
    except NotDelivered as error:
        is_last = context.job.attempts >= _PATIENT.retries
        await until_written(partial(_note_failure, services, due, error, is_last=is_last))
        if error.is_gone:
            return
        raise
    await until_written(lambda: _note_success(services, due, answer))


async def _post(services: Services, due: Due, data: dict[str, Any]) -> str:
    settings = services.settings
    event = {"type": due.event, "timestamp": due.created_at, "data": data}
    secret = secret_of(settings.secret, due.webhook_id)
    signed = sign(secret, str(due.id), msgspec.json.encode(event), time.time())
    return await asyncio.to_thread(post, due.url, signed, may_be_private=settings.webhooks_private)


async def _data(services: Services, conn: Conn, due: Due) -> dict[str, Any] | None:
    """What the event tells: as the API does. None when there is nothing left to tell of."""
    found: object = None
    if due.event == "activity.created":
        found = await activities.get(conn, int(due.subject), due.user_id)
    elif due.event == "export.completed":
        ticket = await tickets.get(conn, UUID(due.subject), due.user_id)
        found = status_of(services, ticket) if ticket else None
    else:
        link = f"{services.settings.base_url}/api/v1/reports/{due.subject}/download"
        found = {"month": due.subject, "download_url": link}
    return None if found is None else msgspec.to_builtins(found)


async def _note_success(services: Services, due: Due, answer: str) -> None:
    async with services.pool.connection() as conn:
        await queries.succeeded(conn, due.id, answer)


async def _note_failure(
    services: Services, due: Due, error: NotDelivered, *, is_last: bool
) -> None:
    async with database.transaction(services.pool) as conn:
        is_disabled = await queries.failed(
            conn, due.id, str(error), is_last=is_last or error.is_gone, is_gone=error.is_gone
        )
        if is_disabled:
            await queries.give_up(conn, due.webhook_id)
            key = f"{services.clock().isoformat()} {due.webhook_id}"
            await services.outbox.write(conn, DISABLED, due.user_id, key)
