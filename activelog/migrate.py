"""Brings a database to this version's schema: forward only, one transaction a file.

Tables are changed by migrations, each applied once. Functions, triggers and views are code: their
files say how they are now, and are applied anew. (Triggers a table a file: each waits for the
writers of its table, and must hold no other meanwhile, or they could wait for each other.)

Two that start at once queue on an advisory lock. A ledger keeps the checksum of every applied
file and refuses one that was edited afterwards.
"""

import hashlib
from pathlib import Path

import psycopg

from activelog import resources

_CODE = ("functions", "triggers", "views")
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
        if not _is_behind(applied):
            for path in [path for folder in _CODE for path in _files(folder)]:
                if new or not _is_current(path, applied):
                    _rebuild(conn, path)
    return [path.name for path in new]


def migration_files() -> list[Path]:
    return _files("migrations")


def _files(folder: str) -> list[Path]:
    return sorted(resources.folder("sql").joinpath(folder).glob("*.sql"))


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


def _is_behind(applied: dict[str, str]) -> bool:
    """Whether a newer version was here already: its functions stay."""
    known = {path.name for path in migration_files()}
    return any("/" not in name and name not in known for name in applied)


def _is_current(path: Path, applied: dict[str, str]) -> bool:
    return applied.get(_name(path)) == _checksum(path)


def _name(path: Path) -> str:
    """In the ledger: views/monitoring.sql."""
    return f"{path.parent.name}/{path.name}"


def _rebuild(conn: psycopg.Connection, path: Path) -> None:
    """Functions and views hold nothing, so they are made anew; but only when they or what is below
    them may have changed, since people's own views that stand on ours go with them."""
    with conn.transaction():
        conn.execute(path.read_bytes())
        conn.execute(
            "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = now()",
            [_name(path), _checksum(path)],
        )


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
