"""However a run ends: its job gets an end, and its worker goes on."""

import asyncio
from typing import Any

import psycopg
import pytest

from activelog.database import Conn
from activelog.queue import queries
from activelog.queue.fetcher import Fetcher
from activelog.queue.limits import Limits
from tests.queue import tasks
from tests.queue.conftest import Queue
from tests.queue.test_worker import until_status, working


@pytest.mark.parametrize(
    ("task", "error"),
    [
        ("unspeakable", "Unspeakable: (its message cannot be shown)"),
        ("undecided", "ValueError: it went wrong"),
        ("exiting", "SystemExit: 3"),
        ("exiting_thread", "SystemExit: 3"),
        ("stopping_iteration", "RuntimeError: the task raised StopIteration()"),
        ("cancelling_itself", "CancelledError: "),
    ],
)
async def test_whatever_a_task_raises_is_a_failure(queue: Queue, task: str, error: str) -> None:
    neighbour = queue.defer("marked", args={"seconds": 0.5})
    job = queue.defer(task)
    await queue.work()
    assert queue.status(job) == "failed"
    assert queue.status(neighbour) == "succeeded"
    errors = {text for (text,) in queue.all("SELECT error FROM job_errors")}
    assert errors == {error}
    runs = 1 if task == "undecided" else 4
    assert queue.events(job).count("started") == runs


@pytest.mark.parametrize("args", ["[]", "null", "1", '"text"', f'{{"n": {"9" * 5000}}}'])
async def test_arguments_that_no_task_takes_fail_their_job_alone(queue: Queue, args: str) -> None:
    insert = "INSERT INTO procrastinate_jobs (queue_name, task_name, args) VALUES"
    queue.all(f"{insert} ('default', 'noop', %s::jsonb)", args)
    after = queue.defer("noop")
    await queue.work()
    assert queue.status(1) == "failed"
    assert queue.status(after) == "succeeded"
    assert "the arguments do not fit noop" in queue.one("SELECT error FROM job_errors")[0]


@pytest.mark.parametrize("at", ["-infinity", "4712-01-01 BC", "infinity"])
async def test_times_that_python_has_not_are_sooner_or_later(queue: Queue, at: str) -> None:
    queue.all(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, scheduled_at)"
        " VALUES ('default', 'noop', %s)",
        at,
    )
    after = queue.defer("noop")
    await queue.work()
    assert queue.status(1) == ("todo" if at == "infinity" else "succeeded")
    assert queue.status(after) == "succeeded"


@pytest.mark.parametrize("task", ["polite", "polite_thread", "failing_to_clean_up"])
async def test_who_heeds_a_shutdown_is_handed_back_unspent(queue: Queue, task: str) -> None:
    job = queue.defer(task)
    async with working(queue, shutdown_graceful_timeout=0):
        await until_status(queue, job, "doing")
        await asyncio.sleep(0.2)
    assert queue.one("SELECT status::text, attempts FROM procrastinate_jobs") == ("todo", 0)
    assert queue.all("SELECT error FROM job_errors") == []


@pytest.mark.parametrize("task", ["polite", "polite_thread", "failing_to_clean_up"])
async def test_who_heeds_an_abort_is_aborted(queue: Queue, task: str) -> None:
    job = queue.defer(task)
    async with working(queue):
        await until_status(queue, job, "doing")
        queue.all("SELECT procrastinate_cancel_job_v1(%s, true, false)", job)
        await until_status(queue, job, "aborted")


async def test_a_job_that_is_deleted_while_it_fails_harms_no_other(queue: Queue) -> None:
    neighbour = queue.defer("marked", args={"seconds": 2})
    doomed = queue.defer("failing_later", args={"seconds": 0.5})
    async with working(queue):
        await until_status(queue, doomed, "doing")
        with psycopg.connect(queue.url) as conn:
            conn.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [doomed])
            await asyncio.sleep(1)
        await until_status(queue, neighbour, "succeeded")
    assert queue.marks(neighbour) == ["start", "end"]


COUNTED = (
    "SELECT event, sum(count) FROM job_activity"
    " WHERE hour = 'infinity' AND event <> 'enqueued' GROUP BY 1"
)


async def test_a_retry_that_meets_its_queueing_lock_counts_as_one_that_failed(queue: Queue) -> None:
    job = queue.defer("failing_later", args={"seconds": 2}, queueing_lock="one")
    async with working(queue):
        await until_status(queue, job, "doing")
        queue.defer("noop", queueing_lock="one", queue="nobody", at=3600)
        await until_status(queue, job, "failed")
    assert [found for found in queue.all(COUNTED) if found[1]] == [("failed", 1)]


async def test_a_retry_that_meets_its_queueing_lock_does_not_end_a_worker_early(
    queue: Queue,
) -> None:
    failing = queue.defer("failing_later", args={"seconds": 1.0}, queueing_lock="one")
    async with queue.app.open_async():
        work = queue.app.run_worker_async(wait=False, concurrency=1, install_signal_handlers=False)
        working = asyncio.create_task(work)
        await until_status(queue, failing, "doing")
        later = [queue.defer("noop", queueing_lock="one"), queue.defer("noop")]
        await working
    assert [queue.status(job) for job in later] == ["succeeded", "succeeded"]


async def test_what_ends_with_its_worker_is_counted(queue: Queue) -> None:
    job = queue.defer("marked", args={"seconds": 60}, queueing_lock="one")
    async with working(queue, shutdown_graceful_timeout=0):
        await until_status(queue, job, "doing")
        queue.defer("noop", queueing_lock="one", queue="nobody", at=3600)
    assert [found for found in queue.all(COUNTED) if found[1]] == [("failed", 1)]


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        ({"delete_jobs": "always"}, "ACTIVELOG_KEEP_SUCCEEDED_DAYS"),
        ({"update_heartbeat_interval": 60}, "every 1 s"),
        ({"stalled_worker_timeout": 60}, "after 6 s"),
    ],
)
async def test_an_option_that_is_not_heeded_is_refused(
    queue: Queue, option: dict[str, Any], instead: str
) -> None:
    with pytest.raises(ValueError, match=instead):
        await queue.work(**option)


@pytest.mark.slow
async def test_a_second_run_beside_the_first_one_is_not_told_to_stop(queue: Queue) -> None:
    """As when a worker was taken for dead, and rescues its own job while a thread goes on."""
    tasks.SEEN.clear()
    job = queue.defer("looking_up", args={"seconds": 12})
    async with working(queue, shutdown_graceful_timeout=0):
        await until_status(queue, job, "doing")
        queue.all("DELETE FROM procrastinate_workers")
        await until_status(queue, job, "succeeded", 60)
    assert sorted(tasks.SEEN) == [False, False, False, True], "the first run at its end"
    assert queue.events(job).count("succeeded") == 1


async def test_a_claim_that_was_committed_late_is_found(queue: Queue) -> None:
    queue.app.limits = Limits(reconcile=0.2)
    async with working(queue):
        await asyncio.to_thread(queue.until_workers, 1)
        queue.all(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id)"
            " SELECT 'default', 'noop', 'doing', id FROM procrastinate_workers"
        )
        await until_status(queue, 1, "succeeded")


async def test_what_runs_is_handed_back_when_the_loop_fails(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queue.defer("marked", args={"seconds": 60})
    async with queue.app.open_async():
        worker = queue.app.run_worker_async(install_signal_handlers=False)
        working = asyncio.create_task(worker)
        await until_status(queue, job, "doing")
        monkeypatch.setattr(Fetcher, "_pause", lambda *_: 1 / 0)
        queue.defer("noop")
        with pytest.raises(ZeroDivisionError):
            await working
    handed_back = queue.one(
        "SELECT status::text, attempts FROM procrastinate_jobs WHERE id = %s", job
    )
    assert handed_back == ("todo", 0)
    assert queue.all("SELECT * FROM job_errors") == []


async def test_an_end_that_could_not_be_written_is_written_when_the_worker_leaves(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete_and_claim = queries.complete_and_claim
    failed = False

    async def failing_once(conn: Conn, outcomes: Any, claim: Any) -> Any:
        nonlocal failed
        if outcomes and not failed:
            failed = True
            raise psycopg.errors.FeatureNotSupported("cached plan must not change result type")
        return await complete_and_claim(conn, outcomes, claim)

    monkeypatch.setattr(queries, "complete_and_claim", failing_once)
    job, running = queue.defer("noop"), queue.defer("marked", args={"seconds": 60})
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        await queue.work()
    assert queue.status(job) == "succeeded"
    assert queue.status(running) == "todo"
