"""Listens to what Postgres announces, on a connection that comes back."""

import asyncio
import logging
from collections.abc import Callable, Collection

import psycopg
from psycopg import sql

from activelog.db import CONNECTION

_KEEPALIVE = 15.0
_PAUSE = 0.5

logger = logging.getLogger(__name__)


async def listen(
    url: str,
    channels: Collection[str],
    *,
    application: str,
    on_start: Callable[[], None],
    on_notify: Callable[[str], None],
) -> None:
    """Until it is cancelled. `on_notify` gets each payload; `on_start` is called whenever it
    listens, also after a break: something may have been missed."""
    while True:
        try:
            await _listen_once(url, channels, application, on_start, on_notify)
        except psycopg.Error as error:
            logger.warning("Not listening: %s", str(error).strip())
            await asyncio.sleep(_PAUSE)


async def _listen_once(
    url: str,
    channels: Collection[str],
    application: str,
    on_start: Callable[[], None],
    on_notify: Callable[[str], None],
) -> None:
    options = CONNECTION | {"application_name": application}
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, **options) as conn:
        for channel in channels:
            await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        on_start()
        while True:
            async for notify in conn.notifies(timeout=_KEEPALIVE):
                on_notify(notify.payload)
            # A connection that died without a word (a firewall, a failover) shows here.
            await conn.execute("SELECT 1")
