"""The one place where connections are made: the pool's, the listener's, the worker's, all others.

What our statements need is set on each connection, whatever the server, the database or the role
says; what the URL says beside it stays (a schema, a time-out, several hosts). It is set by a
statement and not by a start-up option, which poolers refuse.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import psycopg
from psycopg import (
    AsyncConnection,
    AsyncCursor,
    AsyncTransaction,
    InternalError,
    OperationalError,
    errors,
)
from psycopg.abc import Params
from psycopg.conninfo import conninfo_to_dict

from activelog.base import traces
from activelog.base.errors import CommandError

# So that a connection whose other side vanished without a word is noticed.
_PATIENCE = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "client_encoding": "UTF8",
}
_SESSION = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "default_transaction_isolation": "read committed",
    # One statement takes one core; and starting the others takes longer than most of ours.
    "max_parallel_workers_per_gather": "0",
    # Postgres ends a transaction whose client is silent for 30 s, and so frees its locks.
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
# Where the server can, it notices that a statement which waits for a lock is nobody's any more.
_CHECKED = "CASE WHEN version() LIKE '%linux%' THEN '10s' ELSE '0' END"
_RETRY_SECONDS = 0.25
# Of a standby as of its primary.
_IDENTITY = "SELECT system_identifier, current_database() FROM pg_control_system()"
_LEADING_COMMENTS = re.compile(r"\A(\s*--[^\n]*\n)+\s*")
# What Postgres says when it is not there, or not yet, or has no room.
_AWAY_STATES = ("08", "57P01", "57P02", "57P03", "53300")

LOCK_SECONDS = 60.0  # that a statement of a pool waits for a lock, unless somebody says so

Conn = AsyncConnection[tuple[Any, ...]]


class ReadOnly(OperationalError):
    """A node that takes no writes: a standby, or what was the primary. An outage like any other."""


def is_away(error: Exception) -> bool:
    """Whether Postgres is away, and not whether a statement failed (a deadlock, a full disk)."""
    if isinstance(error, psycopg.InterfaceError | ReadOnly):
        return True
    state = getattr(error, "sqlstate", None)
    is_lost = isinstance(error, OperationalError) and state is None
    return is_lost or (state is not None and state.startswith(_AWAY_STATES))


def _parameters(url: str, **options: Any) -> dict[str, Any]:
    """For psycopg: what the URL says, and our patience where it says nothing."""
    return {**_PATIENCE, **conninfo_to_dict(url), **options}


def connect_here(url: str, application: str) -> psycopg.Connection:
    """A connection for a program or a thread, in autocommit mode. Raises OperationalError."""
    conn = psycopg.connect(**_parameters(url, application_name=application), autocommit=True)
    try:
        row = conn.execute(_set_up({}), prepare=False).fetchone()
        _check(row)
    except BaseException:
        conn.close()
        raise
    return conn


def check_one_database(url: str, others: Mapping[str, str | None]) -> None:
    """Raises CommandError when one of the others, by the names of their settings, leads to another
    database: jobs would be taken from one and done in the other. What does not answer now is not
    asked."""
    wanted = _identity(url)
    for name, other in others.items():
        found = _identity(other) if other and other != url else None
        if wanted and found and found != wanted:
            raise CommandError(f"{name} and ACTIVELOG_DATABASE_URL lead to different databases")


def _identity(url: str) -> tuple[Any, ...] | None:
    try:
        with psycopg.connect(**_parameters(url), autocommit=True) as conn:
            return conn.execute(_IDENTITY).fetchone()
    except psycopg.Error:
        return None


async def connect(
    url: str, application: str, settings: dict[str, str] | None = None, **options: Any
) -> Conn:
    """In autocommit mode, with settings of its own. Raises OperationalError."""
    options |= {"application_name": application, "autocommit": True, "cursor_factory": Cursor}
    conn: Conn = await Connection.connect(**_parameters(url, **options))
    await _prepare(conn, settings or {})
    return conn


async def _prepare(conn: Conn, settings: dict[str, str], *, takes_writes: bool = True) -> None:
    """Closes it when the node is not good."""
    try:
        cursor = await conn.execute(_set_up(settings), prepare=False)
        row = await cursor.fetchone()
        if takes_writes:
            _check(row)
    except BaseException:
        await conn.close()
        raise


def _set_up(settings: dict[str, str]) -> bytes:
    wanted = [f"set_config('{name}', '{value}', false)" for name, value in
              (_SESSION | settings).items()]  # fmt: skip
    wanted.append(f"set_config('client_connection_check_interval', {_CHECKED}, false)")
    return f"SELECT current_setting('transaction_read_only'), {', '.join(wanted)}".encode()


def _check(row: Any) -> None:
    if row[0] == "on":
        raise ReadOnly("this node takes no writes: it is a standby, or no primary any more")


class Cursor(AsyncCursor[tuple[Any, ...]]):
    """Closes its connection when the node turns out to take no writes any more: the next one may
    lead to the new primary."""

    async def execute(self, query: Any, params: Params | None = None, **options: Any) -> Self:
        if not traces.is_within():
            return await self._execute(query, params, **options)
        text = _LEADING_COMMENTS.sub("", query.decode()) if isinstance(query, bytes) else ""
        attributes = {"db.system.name": "postgresql", "db.query.text": text}
        with traces.span(
            " ".join(["Postgres", *text.split()[:1]]), "CLIENT", attributes=attributes
        ):
            return await self._execute(query, params, **options)

    async def _execute(self, query: Any, params: Params | None = None, **options: Any) -> Self:
        try:
            return await super().execute(query, params, **options)
        except errors.ReadOnlySqlTransaction as error:
            await self.connection.close()
            raise ReadOnly("this node takes no writes any more") from error


class Connection(AsyncConnection[tuple[Any, ...]]):
    """Ours: what is lost at the end of a transaction is lost like any other."""

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[AsyncTransaction]:
        try:
            async with super().transaction(savepoint_name, force_rollback) as transaction:
                yield transaction
        except InternalError as error:
            # The answer to COMMIT and the end of the connection came together.
            if self.closed:
                raise OperationalError(f"the connection was lost: {error}") from error
            raise


class PooledConnection(Connection):
    """As the pool makes them. While Postgres is away it tries four times a second: the pool's own
    pauses grow to half a minute, and would go on when Postgres is back. A statement waits for
    somebody's lock for `lock_seconds`, then it raises LockNotAvailable."""

    @classmethod
    async def connect(  # type: ignore[override]
        cls,
        conninfo: str = "",
        *,
        connect_timeout: float = 30,
        lock_seconds: float = LOCK_SECONDS,
        **options: Any,
    ) -> Self:
        options = _parameters(conninfo, **options)
        options |= {"autocommit": True, "cursor_factory": Cursor}
        until = time.monotonic() + connect_timeout
        while True:
            try:
                conn = await super().connect(**options)
                await _prepare(conn, {"lock_timeout": f"{lock_seconds}s"})
            except OperationalError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return conn


class ReplicaConnection(Connection):
    """To a node that takes no writes, tried once: the primary is there, too."""

    @classmethod
    async def connect(  # type: ignore[override]
        cls, conninfo: str = "", *, lock_seconds: float = LOCK_SECONDS, **options: Any
    ) -> Self:
        options = _parameters(conninfo, **options)
        options |= {"autocommit": True, "cursor_factory": Cursor}
        conn = await super().connect(**options)
        await _prepare(conn, {"lock_timeout": f"{lock_seconds}s"}, takes_writes=False)
        return conn
