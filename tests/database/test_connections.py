"""What the server, the database or the role says reaches no connection of ours."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from activelog import database
from activelog.database.connections import ReadOnly, is_away
from tests.conftest import World

ODD = (
    "DateStyle = 'German, DMY'", "IntervalStyle = 'iso_8601'", "TimeZone = 'Asia/Tokyo'",
    "default_transaction_isolation = 'serializable'", "extra_float_digits = 0",
)  # fmt: skip
SHOWN = """
SELECT now()::text ~ '^\\d{4}-', interval '90 minutes'::text, current_setting('TimeZone'),
       current_setting('transaction_isolation'), (0.1::float8 + 0.2::float8)::text
"""
EXPECTED = (True, "01:30:00", "UTC", "read committed", "0.30000000000000004")


@pytest.fixture
def odd_database(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as conn:
        name = sql.Identifier(conn.info.dbname)
        for setting in ODD:
            conn.execute(sql.SQL("ALTER DATABASE {} SET {}").format(name, sql.SQL(setting)))
    return database_url


async def test_odd_settings_reach_no_connection(odd_database: str) -> None:
    pool = database.make_pool(odd_database, max_size=1, application="test")
    async with pool, pool.connection() as conn:
        assert await (await conn.execute(SHOWN)).fetchone() == EXPECTED
    async with await database.connect(odd_database, "test") as conn:
        assert await (await conn.execute(SHOWN)).fetchone() == EXPECTED
    with database.connect_here(odd_database, "test") as here:
        assert here.execute(SHOWN).fetchone() == EXPECTED


async def test_what_the_url_says_beside_it_stays(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("CREATE SCHEMA elsewhere")
    mark = "&" if "?" in database_url else "?"
    url = f"{database_url}{mark}options=-c%20search_path%3Delsewhere"
    pool = database.make_pool(url, max_size=1, application="test")
    async with pool, pool.connection() as conn:
        assert await database.value(conn, b"SELECT current_schema()", {}) == "elsewhere"
    async with await database.connect(url, "test") as conn:
        assert await database.value(conn, b"SELECT current_schema()", {}) == "elsewhere"
    with database.connect_here(url, "test") as here:
        assert here.execute("SELECT current_schema()").fetchone() == ("elsewhere",)


async def test_a_node_that_takes_no_writes_is_away(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        name = sql.Identifier(conn.info.dbname)
        conn.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name)
        )
    with pytest.raises(ReadOnly) as raised:
        database.connect_here(database_url, "test")
    assert is_away(raised.value)
    with pytest.raises(ReadOnly):
        await database.connect(database_url, "test")


async def test_a_primary_that_becomes_a_standby_is_left(world: World) -> None:
    ada = await world.user()
    await ada.log()
    async with world.pool.connection() as conn:
        await conn.execute("SET default_transaction_read_only = on")  # as this session finds it
    body = {"activity_type": "run", "duration_minutes": 1, "activity_date": "2024-01-01T00:00:00Z"}
    answers = [(await ada.post("/api/v1/activities", json=body)).status_code for _ in range(3)]
    assert set(answers) <= {201, 503}
    assert answers[-1] == 201


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (psycopg.errors.DeadlockDetected(), False),
        (psycopg.errors.SerializationFailure(), False),
        (psycopg.errors.DiskFull(), False),
        (psycopg.errors.QueryCanceled(), False),
        (psycopg.errors.AdminShutdown(), True),
        (psycopg.errors.CannotConnectNow(), True),
        (psycopg.errors.TooManyConnections(), True),
        (psycopg.errors.ConnectionFailure(), True),
        (psycopg.OperationalError("server closed the connection unexpectedly"), True),
        (psycopg.errors.UniqueViolation(), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_errors_are_told_apart(error: psycopg.Error, away: bool) -> None:
    assert is_away(error) == away


async def test_after_a_restart_no_request_fails_for_a_connection_that_was_dead(
    world: World,
) -> None:
    ada = await world.user()
    await ada.log()
    await world.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    for _ in range(5):
        await ada.log()


async def test_who_stops_reading_in_the_middle_does_not_hold_the_snapshot(world: World) -> None:
    """What reads stays open here, as where somebody forgot to close it."""
    many = b"SELECT repeat('x', 1000) FROM generate_series(1, 100000)"

    async def read_a_little() -> None:
        async with database.snapshot(world.pool) as conn:
            rows = database.batches(conn, many, {})
            await anext(rows)
            raise OSError("the disk is full")

    with anyio.fail_after(20), pytest.raises(OSError, match="disk"):
        await read_a_little()
    assert await world.value("SELECT 1") == 1


@asynccontextmanager
async def cut_behind_commit(database_url: str) -> AsyncIterator[str]:
    """The URL of a way to Postgres on which the answer to COMMIT and the end of the connection come
    together, as when a primary shuts down."""
    wanted = conninfo_to_dict(database_url)
    path = f"{wanted['host']}/.s.PGSQL.{wanted['port']}"
    ended = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_unix_connection(path)
        while data := await reader.read(65536):
            ours.write(data)
            answer = await theirs.read(65536)
            if b"COMMIT" in data:
                complete = answer[: answer.index(b"Z\0\0\0\5")]
                writer.write(complete + b"E" + struct.pack("!i", 4 + len(ended)) + ended)
                break
            writer.write(answer)
        writer.close()
        ours.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        names = f"user={wanted['user']} dbname={wanted['dbname']}"
        yield f"host={host} port={port} {names} sslmode=disable gssencmode=disable"


async def test_a_connection_that_is_lost_behind_its_commit_is_lost(database_url: str) -> None:
    async with cut_behind_commit(database_url) as url, await database.connect(url, "test") as conn:
        with pytest.raises(psycopg.OperationalError) as lost:
            async with conn.transaction():
                await conn.execute("CREATE TABLE made ()")
        assert is_away(lost.value)
    with psycopg.connect(database_url) as here:
        here.execute("SELECT FROM made")
