"""Every statement of sql/ against the migrated schema, against the code, and against the arrows."""

import re
from pathlib import Path

import psycopg
import pytest
from psycopg import ClientCursor

from activelog import database
from activelog.base import resources
from activelog.database.statements import PARTS

SQL = resources.folder("sql")
CODE_KINDS = ("functions", "triggers", "views")
# Declarations: a shared task does them as they stand, so no code names each of them.
DECLARED = ("retention", "personal_data", "objects", "account_deletion", "usage")
FILES = [
    (path.parent.name, path.stem)
    for path in sorted(SQL.glob("*/*.sql"))
    if path.parent.name != "migrations" and path.stem not in CODE_KINDS
]
_PARAMETER = re.compile(rb"%\((\w+)\)s")


@pytest.mark.parametrize(("part", "file"), FILES)
def test_every_statement_fits_the_schema(part: str, file: str, database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        for name, statement in database.queries(part, file).items():
            numbers: dict[bytes, int] = {}
            if statement.startswith((b"CREATE TEMPORARY", b"ANALYZE")):  # nothing to prepare
                conn.execute(statement)
                continue
            if statement.startswith(b"COPY"):
                continue  # its tests run it
            prepared = _PARAMETER.sub(
                lambda found, numbers=numbers: (
                    b"$%d" % numbers.setdefault(found[1], len(numbers) + 1)
                ),  # type: ignore[misc]
                statement,
            ).replace(b"%%", b"%")
            ClientCursor(conn).execute(f"PREPARE {part}_{name} AS ".encode() + prepared)


@pytest.mark.parametrize(("part", "file"), [one for one in FILES if one[1] not in DECLARED])
def test_every_statement_is_used_and_every_used_one_exists(part: str, file: str) -> None:
    used: set[str] = set()
    call = f'database.queries("{part}")' if file == "queries" else f'queries("{part}", "{file}")'
    for path in Path("activelog").rglob("*.py"):
        text = path.read_text()
        if call in text:
            used |= set(re.findall(r'(?:_SQL|queries\("\w+"\))\[\s*"(\w+)"', text))
            used |= set(re.findall(r'_SQL\["(\w+)" if \w+ else "\w+"\]', text))
            used |= set(re.findall(r'_SQL\["\w+" if \w+ else "(\w+)"\]', text))
    assert used == set(database.queries(part, file))


BARE_KEYS = """
SELECT conrelid::regclass, conname FROM pg_constraint c
JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
WHERE contype = 'f' AND NOT EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]
      AND coalesce(pg_get_expr(i.indpred, i.indrelid), '') IN ('', format('(%I IS NOT NULL)', a.attname)))
"""  # noqa: E501


def test_deleting_what_others_point_to_reads_no_whole_table(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        assert conn.execute(BARE_KEYS.encode()).fetchall() == []


def test_names_given_twice_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twice").mkdir()
    text = "-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n"
    (tmp_path / "twice" / "queries.sql").write_text(text)
    monkeypatch.setattr(resources, "folder", lambda name: tmp_path)
    with pytest.raises(ValueError, match="two statements named a"):
        database.queries("twice")


# Whose is each table. A part reads and writes its own, and what is below it in PARTS; only a part
# that writes a table gives it a name here.
OWNERS = {
    "queue": """procrastinate_jobs procrastinate_events procrastinate_workers
        procrastinate_periodic_defers our_workers paused_queues queue_limits job_errors
        job_outcomes""",
    "schedules": "schedule_ticks schedule_runs",
    "database": "limits",
    "http": "idempotency_keys sessions session_endings api_tokens",
    "mail": "mails mail_counts mail_preferences suppressed_addresses mail_pace mail_domains",
    "tickets": "job_tickets group_limits",
    "accounts": "users verifications password_resets address_changes",
    "activities": "activities photos activity_followers",
    "imports": "imports import_columns",
    "exports": "exports export_counts",
    "statistics": "daily_stats stale_days stats_progress year_shares",
    "monthly_reports": "reports",
    "friends": "friendships friend_requests friend_asks blocks notifications",
    "webhooks": "webhooks webhook_deliveries",
    "retention": "swept",
    "operations": """audit failure_counts failures_noted job_counts job_count_progress job_words
        minute_counts queue_depths worker_history""",
}
# Tables that parts below their owner may read too: whom and what everything here is about.
READ_BY_ALL = {"users", "activities"}


def tables_of(conn: psycopg.Connection) -> set[str]:
    rows = conn.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        " AND tablename <> 'schema_migrations'"
    )
    return {name for (name,) in rows.fetchall()}


def test_every_table_has_one_owner(database_url: str) -> None:
    named = [table for tables in OWNERS.values() for table in tables.split()]
    assert len(named) == len(set(named))
    with psycopg.connect(database_url) as conn:
        assert set(named) == tables_of(conn)


def test_arrows_point_down_in_sql_too() -> None:
    """Of tables and functions: a part's SQL names none of a part above it."""
    homes = {table: part for part, tables in OWNERS.items() for table in tables.split()}
    for part in PARTS:
        for kind in CODE_KINDS:
            path = SQL / part / f"{kind}.sql"
            for name in re.findall(
                r"CREATE OR REPLACE (?:FUNCTION|VIEW|AGGREGATE) (\w+)\b(?!\.)",
                path.read_text() if path.exists() else "",
            ):
                homes[name] = part
    wrong = []
    for part in PARTS:
        for path in sorted((SQL / part).glob("*.sql")):
            code = re.sub(r"--.*", "", path.read_text())
            for name in sorted(set(re.findall(r"\b[a-z_]+\b", code)) & set(homes)):
                is_above = PARTS.index(homes[name]) > PARTS.index(part)
                writes = re.search(rf"\b(INTO|UPDATE|DELETE FROM)\s+{name}\b", code)
                if is_above and (name not in READ_BY_ALL or writes):
                    wrong.append(f"{part}/{path.name} names {name} of {homes[name]}")
    assert wrong == []
