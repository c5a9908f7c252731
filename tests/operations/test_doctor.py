import psycopg
import pytest

from activelog.local.embedded import EmbeddedPostgres
from activelog.operations import shell
from tests import processes
from tests.conftest import World

pytestmark = pytest.mark.slow


async def test_the_doctor_says_what_to_do(world: World, environment: dict[str, str]) -> None:
    alone = processes.run("activelog", "doctor", env=environment)
    assert alone.returncode == 1
    assert "✗ worker: none is alive: run procrastinate worker" in alone.stdout
    for good in ("database", "migrations", "storage", "mail", "clock"):
        assert f"✓ {good}: ok" in alone.stdout
    with processes.worker(environment):
        await world.until("SELECT count(*) FROM procrastinate_workers")
        well = processes.run("activelog", "doctor", env=environment)
        assert well.returncode == 0, well.stdout
    away = environment | {
        "ACTIVELOG_SMTP_URL": "smtp://127.0.0.1:9",
        "ACTIVELOG_STORAGE_URL": "file:///proc/nowhere",
    }
    ill = processes.run("activelog", "doctor", env=away)
    assert "✗ mail: the mail relay is away" in ill.stdout
    assert "✗ storage for writing: " in ill.stdout
    assert "✓ templates: ok" in ill.stdout
    nowhere = environment["ACTIVELOG_DATABASE_URL"].replace("/test_", "/no_such_")
    gone = processes.run(
        "activelog", "doctor", env=environment | {"ACTIVELOG_DATABASE_URL": nowhere}
    )
    assert "✗ connecting: " in gone.stdout
    assert "does not exist" in gone.stdout
    unwritable = environment | {"ACTIVELOG_SMTP_URL": "file:///proc/nowhere"}
    assert "✗ mail: " in processes.run("activelog", "doctor", env=unwritable).stdout


def test_a_database_that_is_not_ours_yet_is_said(
    postgres: EmbeddedPostgres, environment: dict[str, str]
) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
        conn.execute("CREATE DATABASE bare")
    bare = environment | {"ACTIVELOG_DATABASE_URL": postgres.url("bare")}
    try:
        assert "✗ migrations: none: run activelog migrate" in processes.run(
            "activelog", "doctor", env=bare).stdout  # fmt: skip
        done = processes.run("activelog", "admin", "ada@example.com", env=bare)
        assert done.returncode == 1
        assert "run activelog migrate" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
            conn.execute("DROP DATABASE bare WITH (FORCE)")


def test_urls_of_two_databases_stop_the_start(
    postgres: EmbeddedPostgres, environment: dict[str, str]
) -> None:
    """Jobs of one would be taken, and done in the other."""
    other = environment | {"ACTIVELOG_DATABASE_DIRECT_URL": postgres.url("postgres")}
    for command in (["activelog", "api", "--port", "0"], ["procrastinate", "worker"]):
        done = processes.run(*command, env=other)
        assert "lead to different databases" in done.stderr
        assert done.returncode != 0
    assert "lead to different databases" in processes.run("activelog", "doctor", env=other).stdout


async def test_who_becomes_an_admin_stands_in_the_audit(world: World) -> None:
    ada = await world.user()
    said = [
        await shell.make_admin(world.settings, ada.address, wanted)
        for wanted in (True, True, False, False)
    ]
    assert [one.removeprefix(ada.address).strip() for one in said] == [
        "is an admin now.",
        "is an admin already.",
        "is no admin any more.",
        "is no admin.",
    ]
    assert await world.rows("SELECT action, subject FROM audit ORDER BY id") == [
        ("grant admin", f"user {ada.id}, from the shell"),
        ("revoke admin", f"user {ada.id}, from the shell"),
    ]
