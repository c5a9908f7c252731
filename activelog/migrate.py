"""Brings a database to this version's schema: forward only, one transaction a file.

Two that start at once queue on an advisory lock. A ledger keeps the checksum of every applied
file and refuses one that was edited afterwards.
"""

import hashlib
from pathlib import Path

import psycopg

from activelog import resources

_LOCK = 0x41_43_54_4C
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
_APPLIED = "SELECT name, checksum FROM schema_migrations"


class MigrationError(Exception):
    """The database and the files disagree, in one line."""


def migrate(url: str) -> list[str]:
    """Applies what is missing; returns the names of the files that it applied."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        conn.execute(_LEDGER)
        applied: dict[str, str] = dict(conn.execute(_APPLIED).fetchall())
        new = [path for path in migration_files() if not _is_applied(path, applied)]
        for path in new:
            _apply(conn, path)
        _rebuild_views(conn)
    return [path.name for path in new]


def migration_files() -> list[Path]:
    return sorted(resources.folder("sql").joinpath("migrations").glob("*.sql"))


def _is_applied(path: Path, applied: dict[str, str]) -> bool:
    if path.name not in applied:
        return False
    if applied[path.name] != _checksum(path):
        raise MigrationError(f"{path.name} was edited after it was applied; add a new file instead")
    return True


def _apply(conn: psycopg.Connection, path: Path) -> None:
    with conn.transaction():
        conn.execute(path.read_bytes())
        conn.execute(
            "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)",
            [path.name, _checksum(path)],
        )


def _rebuild_views(conn: psycopg.Connection) -> None:
    """They hold nothing, so they are made anew from their files every time."""
    for path in sorted(resources.folder("sql").joinpath("views").glob("*.sql")):
        with conn.transaction():
            conn.execute(path.read_bytes())


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
