"""Locks, retries, aborts, misfits and hung threads leave no job waiting and none in `doing`.

Workers here are processes that look for jobs once a minute unless something wakes them.
"""

import time
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from activelog.queue import worker
from tests.processes import until
from tests.queue.conftest import Queue

pytestmark = pytest.mark.slow


def working(queue: Queue, *arguments: str) -> AbstractContextManager[Any]:
    return queue.worker("--fetch-job-polling-interval", "60", *arguments)


def until_listening(queue: Queue, count: int) -> None:
    queue.until_workers(count)
    time.sleep(0.5)  # listening comes a moment after registering


def error(queue: Queue) -> str:
    return str(queue.all("SELECT error FROM job_errors ORDER BY at DESC")[0][0])


def test_jobs_with_one_lock_follow_each_other_at_once(queue: Queue) -> None:
    jobs = [queue.defer("marked", args={"seconds": 0.01}, lock="one") for _ in range(10)]
    with working(queue), working(queue):
        queue.until_status(jobs[-1], "succeeded", 15)
    marks = queue.all("SELECT job_id, what FROM marks ORDER BY at")
    assert marks == [(job, what) for job in jobs for what in ("start", "end")]


def test_a_lock_that_another_worker_lets_go_of_wakes_who_waits_for_it(queue: Queue) -> None:
    with working(queue, "--queues", "default"), working(queue, "--queues", "low"):
        until_listening(queue, 2)
        first = queue.defer("marked", args={"seconds": 2}, lock="one")
        queue.until_status(first, "doing")
        second = queue.defer("marked", lock="one", queue="low")
        queue.until_status(second, "succeeded", 10)
    marks = queue.all("SELECT job_id, what FROM marks ORDER BY at")
    assert marks == [(job, what) for job in (first, second) for what in ("start", "end")]


def test_a_freed_lock_wakes_a_worker_whose_jobs_are_far_behind(queue: Queue) -> None:
    with working(queue, "--queues", "default"), working(queue, "--queues", "low"):
        until_listening(queue, 2)
        first = queue.defer("marked", args={"seconds": 1}, lock="one")
        queue.until_status(first, "doing")
        queue.all(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock)"
            " SELECT 'nobodys', 'noop', 'one' FROM generate_series(1, 200)"
        )
        queue.until_status(queue.defer("noop", lock="one", queue="low"), "succeeded", 10)


def test_an_immediate_retry_does_not_wait_for_the_poll(queue: Queue) -> None:
    with working(queue):
        job = queue.defer("failing")
        queue.until_status(job, "failed", 10)
    assert queue.marks(job) == ["start"] * 4


def test_a_retry_that_meets_its_queueing_lock_fails(queue: Queue) -> None:
    with working(queue, "--shutdown-graceful-timeout", "0.1") as draining:
        job = queue.defer("marked", args={"seconds": 60}, queueing_lock="one")
        queue.until_status(job, "doing")
        waiting = queue.defer("noop", queueing_lock="one", at=3600)
        draining.terminate()
        assert draining.wait(timeout=10) == 0
    assert queue.status(job) == "failed"
    assert queue.status(waiting) == "todo"
    assert "queueing lock" in error(queue)


@pytest.mark.parametrize("task", ["marked", "failing_thread"])
def test_an_abort_ends_a_task_that_has_retries(queue: Queue, task: str) -> None:
    """At once, or, where a thread cannot be stopped, in place of its next try."""
    with working(queue):
        job = queue.defer(task, args={"seconds": 60} if task == "marked" else {})
        queue.until_status(job, "doing")
        queue.all("SELECT procrastinate_cancel_job_v1(%s, true, false)", job)
        queue.until_status(job, "aborted", 10)
    assert queue.one("SELECT abort_requested FROM procrastinate_jobs") == (False,)


def test_a_thread_that_hangs_does_not_keep_a_worker(queue: Queue) -> None:
    with working(queue) as worker:
        queue.until_status(queue.defer("hanging_to_thread"), "failed")
        worker.terminate()
        assert worker.wait(timeout=10) == 0


def test_a_task_of_the_next_version_waits_for_a_worker_that_knows_it(queue: Queue) -> None:
    job = queue.defer("from_the_next_version")
    with working(queue):
        queue.until_status(queue.defer("noop"), "succeeded")
        until(lambda: "from_the_next_version" in queue.log.read_text(), "a word of it", 10)
        assert queue.status(job) == "todo"
        newer = replace(queue, env=queue.env | {"PROCRASTINATE_APP": "tests.queue.tasks.next_app"})
        with working(newer):
            queue.until_status(job, "succeeded", 10)
    assert queue.events(job).count("started") == 1


def test_arguments_that_do_not_fit_fail_with_a_clear_error(queue: Queue) -> None:
    with working(queue):
        job = queue.defer("in_thread", args={"minutes": 1})
        queue.until_status(job, "failed", 10)
        queue.until_status(queue.defer("noop"), "succeeded", 10)
    assert error(queue).startswith("Permanent: the arguments do not fit in_thread: ")
    assert queue.events(job).count("started") == 1, "another run would only repeat it"


def test_a_thread_that_hangs_is_reported_and_its_slot_replaced(queue: Queue) -> None:
    with working(queue, "--concurrency", "1") as hung:
        jobs = [queue.defer("hanging") for _ in range(3)]
        queue.until_status(queue.defer("noop"), "succeeded", 10)
        assert hung.poll() is None
    assert {queue.status(job) for job in jobs} == {"failed"}
    assert "cannot be stopped" in error(queue)
    assert "3 threads hang in this worker" in queue.log.read_text()


def test_a_worker_with_too_many_hanging_threads_recycles_itself(queue: Queue) -> None:
    with working(queue, "--concurrency", "6") as hung:
        for _ in range(worker.HUNG_THREADS + 1):
            queue.defer("hanging")
        assert hung.wait(timeout=15) == 1, "its supervisor starts a new one"
    assert queue.all("SELECT 1 FROM procrastinate_jobs WHERE status <> 'failed'") == []
    assert queue.all("SELECT 1 FROM procrastinate_workers") == []
    assert "6 threads hang" in queue.log.read_text()
