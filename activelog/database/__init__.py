"""Postgres: the pool, the ways to run a statement, the named statements of sql/, calls that share a
round trip, notifications, rate limits, migrations.

Connections are in autocommit mode, so a lone statement is one round trip; callers that need more
than one open `transaction(pool)`. `connections` alone makes connections. Query functions take the
connection of their caller.
"""

from activelog.database.connections import (
    Conn,
    check_one_database,
    connect,
    connect_here,
    is_away,
)
from activelog.database.pool import (
    Pool,
    command_pool,
    make_pool,
    searching,
    small_pool,
    snapshot,
    transaction,
    until_written,
)
from activelog.database.reconnecting import DatabaseGone, ReconnectingConnection
from activelog.database.replica import Reader
from activelog.database.statements import (
    Params,
    array,
    batches,
    execute,
    many,
    one,
    parts_with,
    queries,
    records,
    value,
)

__all__ = [
    "Conn",
    "DatabaseGone",
    "Params",
    "Pool",
    "Reader",
    "ReconnectingConnection",
    "array",
    "batches",
    "check_one_database",
    "command_pool",
    "connect",
    "connect_here",
    "execute",
    "is_away",
    "make_pool",
    "many",
    "one",
    "parts_with",
    "queries",
    "records",
    "searching",
    "small_pool",
    "snapshot",
    "transaction",
    "until_written",
    "value",
]
