"""Jobs and queues from the shell."""

import json

import pytest

from tests import processes
from tests.conftest import World

pytestmark = pytest.mark.slow


async def test_jobs_are_listed_shown_and_retried(world: World, environment: dict[str, str]) -> None:
    def run(*arguments: str, code: int = 0) -> list[dict[str, object]]:
        ended = processes.run("activelog", *arguments, env=environment)
        assert ended.returncode == code, ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]

    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status)"
        " VALUES ('low', 'noop', '{}', 'failed'), ('default', 'noop', '{}', 'todo')"
    )
    [failed] = run("jobs", "--json", "list", "--status", "failed")
    assert (failed["task"], failed["queue"]) == ("noop", "low")
    assert run("jobs", "--json", "show", str(failed["id"]))[0]["status"] == "failed"
    assert run("jobs", "--json", "retry", str(failed["id"])) == [{"action": "retry", "jobs": 1}]
    assert run("jobs", "--json", "list", "--status", "failed") == []
    assert run("queues", "--json", "pause", "low") == [{"queue": "low", "paused": True}]
    low = next(one for one in run("queues", "--json", "list") if one["queue"] == "low")
    assert low["paused"] is True
    assert run("queues", "--json", "limit", "low", "3") == [{"queue": "low", "running": 3}]
    assert (
        processes.run("activelog", "queues", "limit", "low", "0", env=environment).returncode == 1
    )
    assert await world.rows("SELECT queue_name, running FROM queue_limits") == [("low", 3)]
    assert "job" in await world.value("SELECT subject FROM audit ORDER BY id LIMIT 1")
    assert run("jobs", "list", "--status", "cancelled", "--json") == []
    unknown = processes.run("activelog", "queues", "pause", "lo", env=environment)
    assert "no job ever came to the queue lo" in unknown.stderr + unknown.stdout
    assert processes.run("activelog", "queues", "resume", "lo", env=environment).returncode == 1
    for limit in ("-1", "99999999999999999999"):
        ill = processes.run("activelog", "jobs", "list", "--limit", limit, env=environment)
        assert (ill.returncode, "Traceback" in ill.stderr) == (1, False)
    assert run("jobs", "--json", "run-now", str(failed["id"]), "999") == [
        {"action": "run_now", "jobs": 0}
    ]
    subjects = await world.rows("SELECT subject FROM audit WHERE action = 'run_now'")
    assert subjects == [], "what was not done is not noted"
    wrong = processes.run("activelog", "jobs", "list", "--status", "odd", env=environment)
    assert wrong.returncode == 1
    assert "Traceback" not in wrong.stderr
    assert processes.run("activelog", "jobs", "show", "99", env=environment).returncode == 1
