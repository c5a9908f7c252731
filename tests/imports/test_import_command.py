import subprocess
from pathlib import Path

import anyio
import pytest

from tests import processes
from tests.conftest import World
from tests.imports.test_import import HEADER

pytestmark = pytest.mark.slow


async def run(env: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return await anyio.to_thread.run_sync(
        lambda: processes.run("activelog", "import", *arguments, env=env)
    )


async def test_an_operator_imports_for_a_user(
    world: World, environment: dict[str, str], tmp_path: Path
) -> None:
    ada = await world.user()
    file = tmp_path / "mine.csv"
    file.write_text(
        HEADER + "1,ride,1,1,2024-01-01T00:00:00Z,,\n2,ride,x,1,2024-01-01T00:00:00Z,,\n"
    )
    with processes.worker(environment):
        done = await run(environment, "ADA@example.com", str(file))
    assert done.returncode == 0, done.stderr
    assert "1 activity imported, 0 there already, 1 row refused" in done.stdout
    assert "line 3: duration_minutes: must be a whole number, not text" in done.stdout
    assert len((await ada.get("/api/v1/activities")).json()["activities"]) == 1


async def test_what_is_said_of_a_file_counts_and_what_was_guessed_is_shown(
    world: World, environment: dict[str, str], tmp_path: Path
) -> None:
    ada = await world.user()
    file = tmp_path / "mine.csv"
    file.write_text("date,duration,distance\n03/04/2024,30,5\n05/06/2024,30,5\n")
    with processes.worker(environment):
        done = await run(environment, "ada@example.com", str(file), "--dates", "mdy")
        assert done.returncode == 0, done.stderr
        asked = await run(environment, "ada@example.com", str(file))
        assert (asked.returncode, "dates=dmy" in asked.stderr) == (1, True)
    assert "import again with type=running" in done.stdout
    listed = (await ada.get("/api/v1/activities")).json()["activities"]
    assert {one["activity_date"][:10] for one in listed} == {"2024-03-04", "2024-05-06"}
    wrong = await run(environment, "ada@example.com", str(file), "--units", "feet")
    assert (wrong.returncode, "units" in wrong.stderr) == (1, True)


async def test_what_cannot_be_imported_is_one_line(
    world: World, environment: dict[str, str], tmp_path: Path
) -> None:
    await world.user()
    file = tmp_path / "mine.csv"
    file.write_text("a,b\n")
    for arguments, says in (
        (("nobody@example.com", str(file)), "nobody with the verified address"),
        (("ada@example.com", str(tmp_path / "none.csv")), "is not a file"),
    ):
        done = await run(environment, *arguments)
        assert done.returncode == 1
        assert says in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    with processes.worker(environment):
        done = await run(environment, "ada@example.com", str(file))
    assert done.returncode == 1
    assert "the header has no column" in done.stderr
