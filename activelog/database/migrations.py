"""Brings a database to this version's schema: forward only, one transaction a file.

Tables are changed by sql/migrations, each file applied once. Functions, triggers and views are
code: the files in the folders of their parts say how they are now, and are applied anew. (Each
trigger in a transaction of its own: it waits for the writers of its table, and must hold no other
table meanwhile, or they could deadlock.)

Two that start at once queue on an advisory lock. A ledger keeps the checksum of every applied
file and refuses one that was edited afterwards.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import psycopg

from activelog.base import resources
from activelog.base.errors import CommandError
from activelog.database.connections import connect_here
from activelog.database.statements import PARTS

_CODE = ("functions", "triggers", "views")
# While it waits for a table, all who come behind it wait, too: so for half a second at a time.
_LOCK_TIMEOUT, _TRIES, _PAUSE = "500ms", 300, 2.0
_OLDEST = 140000  # of Postgres
_LOCK = 0x41_43_54_4C
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
_APPLIED = "SELECT name, checksum FROM schema_migrations"

# The baseline takes the place of 25 migrations. A database that has them all gets another file, and
# their names go from its ledger.
_BASELINE, _BEFORE = "0002_baseline.sql", "0025_due_behind_locks.sql"
_FROM_BEFORE = "from_0025.sql"
_ENGINE = "0001_procrastinate.sql"
_FORGET = f"DELETE FROM schema_migrations WHERE name > '{_ENGINE}'"


class MigrationError(CommandError):
    """The database and the files disagree, in one line."""


def migrate(url: str) -> list[str]:
    """Applies what is missing; returns the names of the files that it applied. Raises
    MigrationError, also for a Postgres that is too old and for a role that may not create."""
    try:
        return _migrate(url)
    except psycopg.errors.RaiseException as error:  # of a migration that cannot go on
        raise MigrationError(str(error).splitlines()[0]) from None
    except psycopg.errors.InsufficientPrivilege as error:
        reason = str(error).splitlines()[0]
        raise MigrationError(
            f"this role may not do that ({reason}); let the database's owner run it, or GRANT"
            " CREATE ON DATABASE and ON SCHEMA public to the role"
        ) from None


def _migrate(url: str) -> list[str]:
    with connect_here(url, "activelog migrate") as conn:
        if conn.info.server_version < _OLDEST:
            raise MigrationError(
                f"this is Postgres {conn.info.server_version // 10000};"
                f" {_OLDEST // 10000} is the oldest that works"
            )
        conn.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        conn.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
        conn.execute(_LEDGER)
        applied = _applied(conn)
        if _BEFORE in applied:
            return _take_along(conn)
        if _BASELINE not in applied and any(name > _ENGINE and "/" not in name for name in applied):
            raise MigrationError(
                f"this database has some of 25 old migrations; bring it to {_BEFORE} with the"
                " version that made it, then come back"
            )
        new = [path for path in migration_files() if not _is_applied(path, applied)]
        for path in new:
            _patiently(conn, path, partial(_apply, conn, path))
        if not _is_behind(applied):
            _rebuild(conn, [path for path in code_files() if new or not _is_current(path, applied)])
    return [path.name for path in new]


def migration_files() -> list[Path]:
    """The numbered ones, in their order."""
    return sorted(resources.folder("sql").joinpath("migrations").glob("[0-9]*.sql"))


def code_files() -> list[Path]:
    """Functions of all parts first, then triggers, then views; the lowest part first."""
    sql = resources.folder("sql")
    files = (sql.joinpath(part, f"{kind}.sql") for kind in _CODE for part in PARTS)
    return [path for path in files if path.exists()]


def missing(applied: Mapping[str, str]) -> list[str]:
    """What a ledger of names and checksums lacks of this version: also functions, triggers and
    views, when a migration was cut off before them."""
    files = [path.name for path in migration_files() if path.name not in applied]
    if _is_behind(applied):
        return files
    return files + [_name(path) for path in code_files() if not _is_current(path, applied)]


def _applied(conn: psycopg.Connection) -> dict[str, str]:
    return dict(conn.execute(_APPLIED).fetchall())


def _is_applied(path: Path, applied: dict[str, str]) -> bool:
    if path.name not in applied:
        return False
    if applied[path.name] != _checksum(path):
        raise MigrationError(f"{path.name} was edited after it was applied; add a new file instead")
    return True


def _apply(conn: psycopg.Connection, path: Path, name: str | None = None) -> None:
    """`name`: of the file in whose place it is applied."""
    conn.execute(path.read_bytes())
    conn.execute(
        "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)",
        [name or path.name, _checksum(path.with_name(name or path.name))],
    )


def _take_along(conn: psycopg.Connection) -> list[str]:
    """In one transaction: between the old tables and the new functions nothing works."""
    first = resources.folder("sql").joinpath("migrations", _FROM_BEFORE)

    def take() -> None:
        conn.execute(_FORGET)
        _apply(conn, first, _BASELINE)
        for path in migration_files():
            if path.name > _BASELINE:
                _apply(conn, path)
        for path in code_files():
            _rebuild_one(conn, path, path.read_bytes())

    _patiently(conn, first, take)
    return [_FROM_BEFORE]


def _is_behind(applied: Mapping[str, str]) -> bool:
    """Whether a newer version was here already: its functions stay."""
    known = {path.name for path in migration_files()}
    return any("/" not in name and name not in known for name in applied)


def _is_current(path: Path, applied: Mapping[str, str]) -> bool:
    return applied.get(_name(path)) == _checksum(path)


def _name(path: Path) -> str:
    """In the ledger: operations/views.sql."""
    return f"{path.parent.name}/{path.name}"


def _rebuild(conn: psycopg.Connection, paths: list[Path]) -> None:
    """Functions and views hold nothing, so they are made anew; but only when they or what is below
    them may have changed, since people's own views that stand on ours go with them."""
    for path in paths:
        *first, last = _pieces(path)
        for piece in first:
            _patiently(conn, path, partial(conn.execute, piece))
        _patiently(conn, path, partial(_rebuild_one, conn, path, last))


def _patiently(conn: psycopg.Connection, path: Path, change: Callable[[], object]) -> None:
    """In a transaction, again and again while somebody holds a table that it changes."""
    for _ in range(_TRIES):
        try:
            with conn.transaction():
                change()
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            time.sleep(_PAUSE)
    raise MigrationError(
        f"{path.name}: somebody holds a table that it changes; end the oldest transactions of"
        " pg_stat_activity (xact_start), then run migrate again"
    )


def _pieces(path: Path) -> Iterator[bytes]:
    """What must not share a transaction: each trigger, and any other file as a whole."""
    if path.name != "triggers.sql":
        yield path.read_bytes()
        return
    yield from path.read_bytes().strip().removesuffix(b";").split(b";\n")


def _rebuild_one(conn: psycopg.Connection, path: Path, statements: bytes) -> None:
    # A function may call one of a file that comes later.
    conn.execute("SET LOCAL check_function_bodies = off")
    conn.execute(statements)
    conn.execute(
        "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)"
        " ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = now()",
        [_name(path), _checksum(path)],
    )


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
