"""Listens to what Postgres announces, on a connection that comes back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection

import psycopg
from psycopg import AsyncConnection, sql

from activelog.db import CONNECTION, Conn

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
    options = CONNECTION | {"application_name": application}
    while True:
        try:
            async with await AsyncConnection.connect(url, autocommit=True, **options) as conn:
                for channel in channels:
                    await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                on_start()
                async for payload in _payloads(conn):
                    on_notify(payload)
        except psycopg.Error as error:
            logger.warning("Not listening: %s", str(error).strip())
            await asyncio.sleep(_PAUSE)


async def _payloads(conn: Conn) -> AsyncIterator[str]:
    while True:
        async for notify in conn.notifies(timeout=_KEEPALIVE):
            yield notify.payload
        # A connection that died without a word (a firewall, a failover) shows here.
        await conn.execute("SELECT 1")
