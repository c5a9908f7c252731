import pytest

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
    unwritable = environment | {"ACTIVELOG_SMTP_URL": "file:///proc/nowhere"}
    assert "✗ mail: " in processes.run("activelog", "doctor", env=unwritable).stdout
