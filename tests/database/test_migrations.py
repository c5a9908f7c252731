import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from activelog import database
from activelog.base import resources
from activelog.database import migrations
from activelog.database.migrations import MigrationError, migrate, migration_files
from activelog.local.embedded import EmbeddedPostgres


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> str:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS empty WITH (FORCE)")
        conn.execute("CREATE DATABASE empty")
    return postgres.url("empty")


def test_it_applies_everything_once(empty_database: str) -> None:
    assert migrate(empty_database) == [path.name for path in migration_files()]
    assert migrate(empty_database) == []


def test_two_that_start_at_once_do_the_work_once(empty_database: str) -> None:
    done: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: done.append(migrate(empty_database))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, done)) == [0, 0, 0, len(migration_files())]


def test_whoever_owns_the_database_can_migrate_it(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
        conn.execute("CREATE ROLE somebody LOGIN CREATEROLE")  # no superuser
        conn.execute("CREATE DATABASE somebodys OWNER somebody")
    url = postgres.url("somebodys").replace("user=activelog", "user=somebody")
    assert migrate(url) == [path.name for path in migration_files()]
    assert migrate(url) == []
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
        conn.execute("DROP DATABASE somebodys")
        conn.execute("DROP ROLE somebody")


def test_migrating_again_holds_one_table_at_a_time(database_url: str) -> None:
    """Writers go from table to table in an order of their own."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("DELETE FROM schema_migrations WHERE name LIKE '%/%'")
    stop = threading.Event()
    failed: list[Exception] = []

    def write() -> None:
        with psycopg.connect(database_url) as conn:
            while not stop.is_set():
                try:
                    conn.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
                    conn.execute(
                        "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('default', 'noop', 0, NULL,"
                        " NULL, '{}', NULL)::procrastinate_job_to_defer_v1])"
                    )
                    conn.execute("DELETE FROM procrastinate_workers")
                    conn.commit()
                except psycopg.Error as error:
                    failed.append(error)
                    return

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    for _ in range(5):
        migrate(database_url)
        with psycopg.connect(database_url, autocommit=True) as conn:
            conn.execute("DELETE FROM schema_migrations WHERE name LIKE '%/%'")
    stop.set()
    for writer in writers:
        writer.join()
    assert failed == []


def test_a_change_waits_for_its_table_without_keeping_others_from_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that waits is in front of all that come after it."""
    monkeypatch.setattr(migrations, "_LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(migrations, "_PAUSE", 0.05)
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("DELETE FROM schema_migrations WHERE name = 'exports/triggers.sql'")
        with psycopg.connect(database_url) as holder, ThreadPoolExecutor() as pool:
            holder.execute("LOCK TABLE exports IN ROW EXCLUSIVE MODE")
            migrating = pool.submit(migrate, database_url)
            for _ in range(5):
                conn.execute("SET lock_timeout = '5s'")
                conn.execute("DELETE FROM exports")
            assert not migrating.done()
            holder.rollback()
            migrating.result(timeout=30)
        monkeypatch.setattr(migrations, "_TRIES", 1)
        conn.execute("DELETE FROM schema_migrations WHERE name = 'exports/triggers.sql'")
        with psycopg.connect(database_url) as holder:
            holder.execute("LOCK TABLE exports IN ROW EXCLUSIVE MODE")
            with pytest.raises(MigrationError, match="somebody holds a table"):
                migrate(database_url)


def test_an_edited_migration_is_refused(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "folder", lambda name: tmp_path)
    (tmp_path / "migrations").mkdir()
    file = tmp_path / "migrations" / "0001_a.sql"
    file.write_text("CREATE TABLE a ()")
    assert migrate(empty_database) == ["0001_a.sql"]
    file.write_text("CREATE TABLE a (); DROP TABLE a")
    with pytest.raises(MigrationError, match="0001_a.sql was edited"):
        migrate(empty_database)


def test_a_failing_migration_leaves_nothing(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "folder", lambda name: tmp_path)
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_a.sql").write_text("CREATE TABLE a (); SELECT 1/0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty_database)
    with psycopg.connect(empty_database) as conn:
        assert conn.execute("SELECT to_regclass('a')").fetchone() == (None,)


def test_peoples_own_views_stay_while_nothing_changes(empty_database: str) -> None:
    migrate(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("CREATE VIEW mine AS SELECT id FROM monitoring.jobs")
        migrate(empty_database)
        assert conn.execute("SELECT to_regclass('mine') IS NOT NULL").fetchone() == (True,)
        conn.execute("UPDATE schema_migrations SET checksum = 'old' WHERE name LIKE '%/views.sql'")
        conn.execute("DROP VIEW monitoring.workers")
        migrate(empty_database)
        conn.execute("SELECT * FROM monitoring.workers")


def test_an_older_version_leaves_the_functions_of_a_newer_one(empty_database: str) -> None:
    migrate(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("INSERT INTO schema_migrations (name, checksum) VALUES ('9999_new.sql', '')")
        conn.execute("UPDATE schema_migrations SET checksum = 'new' WHERE name LIKE '%/%'")
        migrate(empty_database)
        stays = "SELECT bool_and(checksum = 'new') FROM schema_migrations WHERE name LIKE '%/%'"
        assert conn.execute(stays).fetchone() == (True,)


DUMP_0025 = Path(__file__).parent / "schema_0025.sql.gz"

# What a schema is, by what it is part of; how columns lie in their row does not count.
CATALOG = """
SELECT format('column %s.%s: %s %s %s', c.oid::regclass, a.attname,
              format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END,
              pg_get_expr(d.adbin, d.adrelid))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace::regnamespace::text IN ('public', 'monitoring') AND a.attnum > 0
  AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v')
UNION ALL SELECT format('index %s', indexdef) FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT format('constraint %s %s: %s', conrelid::regclass, conname,
                        pg_get_constraintdef(oid))
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL SELECT format('function %s', pg_get_functiondef(oid)) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
UNION ALL SELECT format('trigger %s', pg_get_triggerdef(oid)) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT format('view %s %s', viewname, definition) FROM pg_views
WHERE schemaname IN ('public', 'monitoring')
"""


def catalog(conn: psycopg.Connection) -> set[str]:
    return {" ".join(text.split()) for (text,) in conn.execute(CATALOG.encode()).fetchall()}


def test_a_database_of_the_25_migrations_before_comes_along(
    empty_database: str, database_url: str
) -> None:
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(gzip.decompress(DUMP_0025.read_bytes()))
    assert migrate(empty_database) == ["from_0025.sql"]
    assert migrate(empty_database) == []
    with psycopg.connect(empty_database) as old, psycopg.connect(database_url) as fresh:
        assert catalog(old) ^ catalog(fresh) == set()

        def value(statement: str) -> object:
            return old.execute(statement.encode()).fetchone()

        assert value("SELECT count(*) FROM users") == (3,)
        assert value("SELECT kind, dedup_key FROM mails") == ("weekly_summary", "2024-01-21")
        waiting = "SELECT args FROM procrastinate_jobs WHERE task_name LIKE '%weekly_mail'"
        assert value(waiting) == ({"user_id": 1, "dedup_key": "2024-01-21"},)
        assert value("SELECT concurrency_group, concurrency_limit FROM job_tickets") == (
            "exports of 1",
            2,
        )
        assert value("SELECT count FROM activity_followers WHERE user_id = 1") == (1,)
        counted = "SELECT sum(count), sum(seconds) FROM job_activity WHERE hour = 'infinity' AND"
        assert value(f"{counted} event = 'succeeded'") == (7, 1.5)
        assert value(f"{counted} event = 'enqueued'") == (3, 0)


def test_a_role_that_may_not_create_gets_a_sentence(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
        conn.execute("CREATE ROLE nobody LOGIN")
        conn.execute("CREATE DATABASE not_theirs")
    url = postgres.url("not_theirs").replace("user=activelog", "user=nobody")
    try:
        with pytest.raises(MigrationError, match="GRANT"):
            migrate(url)
    finally:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
            conn.execute("DROP DATABASE not_theirs")
            conn.execute("DROP ROLE nobody")


def test_a_postgres_that_is_too_old_gets_a_sentence(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelog.database.migrations._OLDEST", 990000)
    with pytest.raises(MigrationError, match="99 is the oldest"):
        migrate(empty_database)


def test_addresses_are_found_in_a_turkish_cluster(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS turkish WITH (FORCE)")
        try:
            conn.execute(
                "CREATE DATABASE turkish TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'tr'"
            )
        except psycopg.errors.FeatureNotSupported:
            pytest.skip("this Postgres has no ICU")
    migrate(postgres.url("turkish"))
    with psycopg.connect(postgres.url("turkish"), autocommit=True) as conn:
        conn.execute(
            "INSERT INTO users (email, name, password_hash, verified_at)"
            " VALUES ('INFO@example.com', 'I', 'none', now())"
        )
        found = conn.execute(
            database.queries("accounts")["owner"], {"email": "info@example.com"}
        ).fetchone()
        assert found == (1,)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
        conn.execute("DROP DATABASE turkish WITH (FORCE)")
