"""Jobs and queues from the shell."""

import asyncio
import json
import sys

import pytest

from activelog.__main__ import _parser
from activelog.base.errors import CommandError
from tests import processes
from tests.conftest import World


class Shell:
    """Runs commands as `activelog` does; a process of its own for each would take a second."""

    def __init__(
        self,
        environment: dict[str, str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    async def run(self, *arguments: str) -> list[dict[str, object]]:
        """What it prints with --json."""
        self._monkeypatch.setattr(sys, "argv", ["activelog", *arguments])
        parsed = _parser().parse_args()
        await asyncio.to_thread(parsed.run, parsed)
        lines = self._capsys.readouterr().out.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def refuses(self, *arguments: str) -> str:
        """The line that says why."""
        with pytest.raises(CommandError) as refused:
            await self.run(*arguments)
        return str(refused.value)


@pytest.fixture
def shell(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    return Shell(environment, monkeypatch, capsys)


async def test_jobs_are_listed_shown_and_retried(world: World, shell: Shell) -> None:
    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status)"
        " VALUES ('low', 'noop', '{}', 'failed'), ('default', 'noop', '{}', 'todo')"
    )
    [failed] = await shell.run("jobs", "--json", "list", "--status", "failed")
    assert (failed["task"], failed["queue"]) == ("noop", "low")
    number = str(failed["id"])
    shown = await shell.run("jobs", "--json", "show", number)
    assert shown[0]["status"] == "failed"
    done = await shell.run("jobs", "--json", "retry", number)
    assert done == [{"action": "retry", "jobs": 1}]
    assert await shell.run("jobs", "--json", "list", "--status", "failed") == []
    assert await shell.run("jobs", "list", "--status", "cancelled", "--json") == []
    done = await shell.run("jobs", "--json", "run-now", number, "999")
    assert done == [{"action": "run_now", "jobs": 0}]
    audited = await world.rows("SELECT action, subject FROM audit")
    assert audited == [("retry", f"job {number}, from the shell")], "only what was done is noted"
    for limit in ("-1", "99999999999999999999"):
        assert "--limit" in await shell.refuses("jobs", "list", "--limit", limit)
    assert "no job 99" in await shell.refuses("jobs", "show", "99")


async def test_queues_are_paused_and_limited(world: World, shell: Shell) -> None:
    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status)"
        " VALUES ('low', 'noop', '{}', 'failed')"
    )
    paused = await shell.run("queues", "--json", "pause", "low")
    assert paused == [{"queue": "low", "paused": True}]
    queues = await shell.run("queues", "--json", "list")
    assert next(one["paused"] for one in queues if one["queue"] == "low") is True
    limited = await shell.run("queues", "--json", "limit", "low", "3")
    assert limited == [{"queue": "low", "running": 3}]
    await shell.refuses("queues", "limit", "low", "0")
    assert "exports" in await shell.refuses("queues", "limit-person", "foo", "3")
    assert await world.rows("SELECT queue_name, running FROM queue_limits") == [("low", 3)]
    assert await world.rows("SELECT action FROM audit ORDER BY id") == [("pause",), ("limit",)]
    for action in ("pause", "resume"):
        said = await shell.refuses("queues", action, "lo")
        assert "the queue lo" in said


@pytest.mark.slow
async def test_a_command_that_is_wrong_is_one_line_and_ends_with_1(
    world: World, environment: dict[str, str]
) -> None:
    odd = await asyncio.to_thread(
        processes.run, "activelog", "jobs", "list", "--status", "odd", env=environment
    )
    assert odd.returncode == 1
    assert odd.stderr.startswith("activelog: --status must be one of")
    assert len(odd.stderr.splitlines()) == 1
