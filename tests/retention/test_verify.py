"""`activelog verify`, and a back-up that comes back."""

import shutil
import subprocess

import psycopg
import pytest

from activelog.base.settings import Folder
from activelog.local.embedded import EmbeddedPostgres, package_binaries
from tests import processes
from tests.activities.test_photos import picture
from tests.conftest import User, World


async def have_one_of_each(world: World, ada: User) -> list[str]:
    """The stored keys: a photo, an export, a report, and a file that waits to be imported."""
    activity = await ada.log()
    path = f"/api/v1/activities/{activity['id']}/photos"
    assert (await ada.post(path, content=picture())).status_code == 201
    await ada.post("/api/v1/activities/export/csv", json={})
    await world.jobs_defer("activelog.reports.render", user_id=ada.id, month="2024-01-01")
    await world.work()
    await ada.post(
        "/api/v1/activities/import",
        content=b"activity_type,duration_minutes,activity_date\nrun,30,2024-01-01T10:00:00Z\n",
    )
    assert isinstance(world.settings.storage, Folder)
    root = world.settings.storage.path
    keys = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert [key.split("/")[0] for key in keys] == ["exports", "imports", "photos", "reports"]
    return keys


@pytest.mark.slow
async def test_rows_and_objects_that_miss_each_other_are_named(
    world: World, environment: dict[str, str]
) -> None:
    keys = await have_one_of_each(world, await world.user())
    good = processes.run("activelog", "verify", env=environment)
    assert (good.returncode, good.stdout) == (0, "✓ 0 objects are missing, 0 are left over\n")
    assert isinstance(world.settings.storage, Folder)
    root = world.settings.storage.path
    for key in keys:
        shutil.move(root / key, root / (key + ".odd"))
    bad = processes.run("activelog", "verify", env=environment)
    assert bad.returncode == 1
    said = set(bad.stdout.splitlines())
    assert said == {
        *(f"✗ {key} is missing: a row needs it" for key in keys),
        *(f"✓ {key}.odd is left over: no row needs it" for key in keys),
        "✗ 4 objects are missing, 4 are left over",
    }


def dump_and_restore(url: str, copy: str) -> None:
    binaries = package_binaries() / "bin"
    dump = [f"{binaries / 'pg_dump'}", "--format=custom", url]
    restore = [f"{binaries / 'pg_restore'}", "--exit-on-error", f"--dbname={copy}"]
    dumped = subprocess.run(dump, check=True, capture_output=True)
    subprocess.run(restore, input=dumped.stdout, check=True, capture_output=True)


@pytest.mark.slow
async def test_a_dump_that_is_restored_goes_on(
    world: World, environment: dict[str, str], postgres: EmbeddedPostgres
) -> None:
    """As the README says: the database first, then the files."""
    ada = await world.user()
    await have_one_of_each(world, ada)
    copy = postgres.url("restored")
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
        conn.execute("CREATE DATABASE restored")
    dump_and_restore(world.settings.database_url, copy)
    environment |= {"ACTIVELOG_DATABASE_URL": copy}
    verified = processes.run("activelog", "verify", env=environment)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "Nothing to apply" in processes.run("activelog", "migrate", env=environment).stdout
    worked = processes.run("procrastinate", "worker", "--one-shot", env=environment)
    assert worked.returncode == 0, worked.stderr
    with psycopg.connect(copy) as conn:
        assert conn.execute("SELECT count(*) FROM activities").fetchone() == (2,), "the import ran"
