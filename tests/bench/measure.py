"""What a benchmark says, and the places that it measures in."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg

from activelog.database.migrations import migrate, migration_files
from activelog.local.embedded import EmbeddedPostgres
from tests.conftest import remove_data
from tests.processes import cpu_seconds

__all__ = ["Place", "Result", "cpu_seconds", "median", "places"]


@dataclass(frozen=True)
class Result:
    """`value` of ours held `against` another's, both in `unit`; `ratio` > 1: ours is better."""

    case: str
    value: float
    unit: str
    against: float
    more_is_better: bool
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.value / self.against if self.more_is_better else self.against / self.value


@dataclass(frozen=True)
class Place:
    """A database: `ours` with our schema, or the stock engine's alone."""

    url: str
    server: EmbeddedPostgres

    def execute(self, statement: str, *params: object) -> None:
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(statement.encode(), params)

    def one(self, statement: str, *params: object) -> object:
        with psycopg.connect(self.url, autocommit=True) as conn:
            row = conn.execute(statement.encode(), params).fetchone()
            assert row is not None
            return row[0]


@contextmanager
def places() -> Iterator[tuple[Place, Place]]:
    """(ours, stock) on one durable server."""
    folder = Path(tempfile.mkdtemp(prefix="activelog-bench-"))
    try:
        with EmbeddedPostgres(folder / "postgres") as server:
            migrate(server.url())
            with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
                conn.execute("CREATE DATABASE stock")
            with psycopg.connect(server.url("stock"), autocommit=True) as conn:
                conn.execute(migration_files()[0].read_bytes())
            yield Place(server.url(), server), Place(server.url("stock"), server)
    finally:
        remove_data(folder / "postgres")
        shutil.rmtree(folder)
