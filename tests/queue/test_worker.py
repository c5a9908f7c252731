"""The queue's promises that need no dying process: workers in this process, real Postgres."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from activelog import database
from activelog.database import DatabaseGone, ReconnectingConnection, reconnecting
from activelog.queue import Backoff, queries
from activelog.queue.claims import ScanPositions, StrideScheduler
from activelog.queue.heartbeat import Heartbeat
from activelog.queue.limits import Limits
from activelog.queue.wake_ups import Notice, Peers, seconds_to_wait
from tests import processes
from tests.queue import tasks
from tests.queue.conftest import Queue


@asynccontextmanager
async def working(queue: Queue, **options: Any) -> AsyncIterator[None]:
    async with queue.app.open_async():
        task = asyncio.create_task(
            queue.app.run_worker_async(
                install_signal_handlers=False, fetch_job_polling_interval=30, **options
            )
        )
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


CLAIM = (
    "SELECT id FROM claim_jobs("
    "%s, 10, '{noop}', '{default}', '{default}', '{1}', '{0}', '{0}', '{0}') WHERE id IS NOT NULL"
)


async def until_status(queue: Queue, job: int, status: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if queue.status(job) == status:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"job {job} is {queue.status(job)}, not {status}")


async def test_a_job_runs_at_most_four_times(queue: Queue) -> None:
    job = queue.defer("failing")
    await queue.work()
    await queue.work()
    assert queue.status(job) == "failed"
    assert queue.marks(job) == ["start"] * 4
    errors = queue.all("SELECT attempt, error, traceback FROM job_errors ORDER BY attempt")
    assert [attempt for attempt, _, _ in errors] == [1, 2, 3, 4]
    assert errors[0][1] == "RuntimeError: it went wrong"
    assert "raise RuntimeError" in errors[0][2]


async def test_a_retry_waits_longer_each_time(queue: Queue) -> None:
    job = queue.defer("marked", args={"nonsense": 1})
    await queue.work()
    assert queue.status(job) == "failed", "arguments that do not fit are not tried again"
    delays = []
    for attempts in range(3):
        fake = type("Job", (), {"attempts": attempts})()
        decision = Backoff().get_retry_decision(exception=ValueError(), job=fake)
        assert decision is not None
        assert decision.retry_at is not None
        delays.append(decision.retry_at.timestamp() - time.time())
    assert 11 < delays[0] < 19
    assert 44 < delays[1] < 76
    assert 179 < delays[2] < 301


async def test_a_task_that_takes_too_long_is_stopped(queue: Queue) -> None:
    job = queue.defer("slow")
    began = time.monotonic()
    await queue.work()
    assert time.monotonic() - began < 5
    assert queue.status(job) == "failed"
    assert "longer than 0.2 s" in queue.one("SELECT error FROM job_errors")[0]


@pytest.mark.slow
async def test_threads_run_as_many_at_once_as_there_are_slots(queue: Queue) -> None:
    for _ in range(40):
        queue.defer("in_thread", args={"seconds": 2})
    began = time.monotonic()
    await queue.work(concurrency=40)
    assert time.monotonic() - began < 10, "the engine's own executor would take its time"


@pytest.mark.slow
async def test_blocking_work_of_async_tasks_has_a_thread_for_every_slot(queue: Queue) -> None:
    for _ in range(20):
        queue.defer("to_thread", args={"seconds": 3})
    began = time.monotonic()
    await queue.work(concurrency=20)
    assert time.monotonic() - began < 8


async def test_a_lock_in_two_queues_is_one_lock(queue: Queue) -> None:
    jobs = [
        queue.defer("marked", args={"seconds": 0.05}, lock="one", queue=name)
        for name in ("default", "low", "critical", "low", "default")
    ]
    await queue.work(concurrency=5)
    assert {queue.status(job) for job in jobs} == {"succeeded"}
    whats = [what for (what,) in queue.all("SELECT what FROM marks ORDER BY at")]
    assert whats == ["start", "end"] * 5


def test_who_claims_does_not_wait_for_who_is_taking_the_same_lock(queue: Queue) -> None:
    """Two that wait for each other's locks would be a deadlock."""
    held = queue.defer("noop", lock="one", queue="low")
    queue.defer("noop", lock="one", queue="default")
    free = queue.defer("noop", lock="two", queue="default")
    queue.all("INSERT INTO procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES (1)")
    claim = CLAIM.replace("'{default}', '{default}'", "ARRAY[%s], '{}'").encode()
    with psycopg.connect(queue.url) as one, psycopg.connect(queue.url) as two:
        assert one.execute(claim, [1, "low"]).fetchall() == [(held,)]
        two.execute("SET LOCAL lock_timeout = '5s'")
        assert two.execute(claim, [1, "default"]).fetchall() == [(free,)]


async def test_a_retry_that_waits_lets_the_jobs_behind_its_lock_pass(queue: Queue) -> None:
    waiting = queue.defer("noop", lock="one", at=3600)
    behind = queue.defer("noop", lock="one")
    await queue.work()
    assert queue.status(behind) == "succeeded"
    assert queue.status(waiting) == "todo"


async def test_a_scheduled_job_starts_on_time(queue: Queue) -> None:
    job = queue.defer("noop", at=1)
    async with working(queue):
        await until_status(queue, job, "succeeded", 4)


@pytest.mark.slow
async def test_queues_share_starts_six_to_three_to_one(queue: Queue) -> None:
    for name in ("low", "default", "critical"):
        for _ in range(200):
            queue.defer("noop", queue=name)
    await queue.work(concurrency=10)
    started = queue.started()[:200]
    assert abs(started.count("critical") - 120) <= 6
    assert abs(started.count("default") - 60) <= 6
    assert abs(started.count("low") - 20) <= 6


async def test_one_slot_is_shared_too(queue: Queue) -> None:
    for name in ("low", "default", "critical"):
        for _ in range(20):
            queue.defer("noop", queue=name)
    await queue.work(concurrency=1)
    started = queue.started()[:20]
    assert (started.count("critical"), started.count("default")) == (12, 6)


@pytest.mark.slow
async def test_idle_share_is_given_away(queue: Queue) -> None:
    for _ in range(30):
        queue.defer("in_thread", args={"seconds": 1}, queue="low")
    began = time.monotonic()
    await queue.work(concurrency=30)
    assert time.monotonic() - began < 8


def test_the_queues_with_weights_are_never_forgotten() -> None:
    shares = StrideScheduler({"critical": 6, "low": 1})
    shares.started(f"queue {number}" for number in range(200))
    shares.started(f"queue {number}" for number in range(200))
    assert shares.weights()[:2] == [6, 1]
    assert list(shares.passes)[:2] == ["critical", "low"]


async def test_strict_order_starts_a_lower_queue_last(queue: Queue) -> None:
    queue.app = tasks.make(queue.url, strict_queues=True)
    for name in ("low", "default", "critical"):
        for _ in range(25):
            queue.defer("noop", queue=name)
    await queue.work(concurrency=1)  # what starts together has no order
    started = queue.started()
    assert started[:25] == ["critical"] * 25


@pytest.mark.slow
async def test_a_worker_never_takes_more_than_it_has_slots(queue: Queue) -> None:
    for _ in range(50):
        queue.defer("marked", args={"seconds": 0.2})
    async with working(queue, concurrency=3):
        seen = set()
        while queue.all("SELECT 1 FROM procrastinate_jobs WHERE status = 'todo'"):
            seen |= set(queue.all("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'"))
            await asyncio.sleep(0.02)
        assert max(seen) == (3,)


@pytest.mark.slow
async def test_what_comes_to_the_front_of_a_backlog_starts_soon(queue: Queue) -> None:
    """While it has plenty to do, a worker does not look there each time."""
    first, *_, last = [queue.defer("marked", args={"seconds": 0.01}) for _ in range(300)]
    async with working(queue, concurrency=2):
        await until_status(queue, first, "succeeded")
        back = "UPDATE procrastinate_jobs SET status = 'todo' WHERE id = %s"
        queue.all(back, first)
        urgent = queue.one(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, priority)"
            " VALUES ('default', 'marked', 10) RETURNING id"
        )[0]
        await until_status(queue, last, "succeeded", 30)
    order = [job for (job,) in queue.all("SELECT job_id FROM marks WHERE what = 'end' ORDER BY at")]
    assert len(order) == 302
    assert order.index(urgent) < 150
    assert order.index(first, 1) < 150


async def test_a_job_that_comes_from_another_queue_starts_at_once(queue: Queue) -> None:
    async with working(queue, queues=["default"]):
        await asyncio.sleep(1)
        job = queue.defer("noop", queue="low")
        queue.all("UPDATE procrastinate_jobs SET queue_name = 'default'")
        await until_status(queue, job, "succeeded")


async def test_a_job_that_is_to_start_now_after_all_does(queue: Queue) -> None:
    async with working(queue):
        await asyncio.sleep(1)
        job = queue.defer("noop", at=3600)
        await asyncio.sleep(0.5)
        queue.all("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE id = %s", job)
        await until_status(queue, job, "succeeded", 5)


def test_a_look_at_the_front_that_takes_long_is_not_taken_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("activelog.queue.claims.time.monotonic", lambda: now)
    job = tasks.make("").tasks["noop"].configure().job.evolve(id=7, priority=0)
    positions, front = ScanPositions(), (2**31 - 1, 0)
    for seconds, found in [
        (0.5, front),
        (1.9, (0, 7)),
        (0.2, (0, 7)),
        (0.1, front),
    ]:
        assert positions.of(["default"]) == [found]
        now += seconds
        assert positions.found([job], 1, seconds)


async def test_a_worker_does_not_end_before_it_looked_at_the_front(queue: Queue) -> None:
    first = queue.defer("noop")
    await queue.work()
    queue.defer("reviving", args={"job_id": first})
    await queue.work(concurrency=1)
    assert queue.events(first).count("succeeded") == 2


async def test_what_a_busy_worker_did_is_counted_when_it_pauses(queue: Queue) -> None:
    counted = "SELECT sum(count) FROM job_activity WHERE event = 'succeeded' AND hour = 'infinity'"
    async with working(queue, concurrency=20):
        await asyncio.sleep(1)
        queue.all(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, scheduled_at)"
            " SELECT 'default', 'noop', now() FROM generate_series(1, 40)"
        )
        for _ in range(100):
            if queue.all(counted) == [(40,)]:
                break
            await asyncio.sleep(0.1)
    assert queue.all(counted) == [(40,)]


async def test_jobs_that_come_while_all_slots_are_taken_follow_at_once(queue: Queue) -> None:
    taking = [queue.defer("marked", args={"seconds": 1}) for _ in range(2)]
    async with working(queue, concurrency=2):
        for job in taking:
            await until_status(queue, job, "doing")
        late = [queue.defer("noop") for _ in range(20)]
        for job in (*taking, *late):
            await until_status(queue, job, "succeeded")  # the poll of these tests would take 30 s
        await until_status(queue, queue.defer("noop"), "succeeded", 2)


async def test_a_job_of_a_transaction_that_commits_late_starts_soon(queue: Queue) -> None:
    """It was written while all slots were taken, and is committed when they are free again."""
    defer = (
        "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('default', 'noop', 0, NULL, NULL, '{}', NULL)"
        "::procrastinate_job_to_defer_v1])"
    )
    taking = [queue.defer("marked", args={"seconds": 2}) for _ in range(2)]
    async with working(queue, concurrency=2):
        for job in taking:
            await until_status(queue, job, "doing")
        for _ in range(5):  # jobs keep coming for which it has no slot
            queue.defer("noop")
            await asyncio.sleep(0.1)
        with psycopg.connect(queue.url) as conn:
            conn.execute(defer)
            [*_, last] = conn.execute("SELECT id FROM procrastinate_jobs ORDER BY id").fetchall()
            for job in taking:
                await until_status(queue, job, "succeeded")
            await asyncio.sleep(0.4)
            conn.commit()
        await until_status(queue, last[0], "succeeded", 4)


async def test_a_busy_worker_hears_of_a_new_queue(queue: Queue) -> None:
    for _ in range(200):
        queue.defer("marked", args={"seconds": 0.1})
    async with working(queue, concurrency=2, shutdown_graceful_timeout=0):
        await asyncio.sleep(0.5)
        jobs = [queue.defer("noop", queue=name) for name in ("critical", "a new one")]
        for job in jobs:
            await until_status(queue, job, "succeeded", 6)
        assert queue.all("SELECT 1 FROM procrastinate_jobs WHERE status = 'todo'"), "still busy"


async def test_of_a_queue_with_a_limit_no_more_run_at_once(queue: Queue) -> None:
    """In all workers together, behind locks or not; other queues go on, and a new limit holds from
    the next start on."""
    queue.all("INSERT INTO queue_limits (queue_name, running) VALUES ('low', 2)")
    args = {"seconds": 0.2}
    jobs = [queue.defer("marked", queue="low", args=args) for _ in range(5)]
    jobs += [queue.defer("marked", queue="low", lock=f"{n}", args=args) for n in range(3)]
    async with working(queue, concurrency=5), working(queue, concurrency=5):
        await until_status(queue, queue.defer("noop"), "succeeded")
        assert any(queue.status(job) == "todo" for job in jobs), "the limit holds those up alone"
        for job in jobs:
            await until_status(queue, job, "succeeded")
        assert _most_at_once(queue) == 2
        queue.all("TRUNCATE marks")
        queue.all("UPDATE queue_limits SET running = 3")
        more = [queue.defer("marked", queue="low", args=args) for _ in range(7)]
        for job in more:
            await until_status(queue, job, "succeeded")
        assert _most_at_once(queue) == 3


def test_a_limit_costs_a_claim_one_look_for_each_queue(queue: Queue) -> None:
    queue.all("INSERT INTO queue_limits (queue_name, running) VALUES ('default', 300)")
    queue.all(
        "INSERT INTO procrastinate_jobs (queue_name, task_name)"
        " SELECT 'default', 'noop' FROM generate_series(1, 400)"
    )
    worker = queue.one("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")[0]
    with psycopg.connect(queue.url, autocommit=True) as conn:
        conn.execute("SET track_functions = 'all'")
        claimed = conn.execute(CLAIM.replace("10,", "350,").encode(), [worker]).fetchall()
        assert len(claimed) == 300
        conn.execute("SELECT pg_stat_force_next_flush()")
        calls = conn.execute(
            "SELECT calls FROM pg_stat_user_functions WHERE funcname = 'queue_room'"
        ).fetchone()
    assert calls is not None
    assert calls[0] <= 4


def _most_at_once(queue: Queue) -> int:
    running = most = 0
    for (what,) in queue.all("SELECT what FROM marks ORDER BY at"):
        running += 1 if what == "start" else -1
        most = max(most, running)
    return most


def test_workers_take_turns_in_one_order_that_differs_by_job() -> None:
    peers: Peers = [(1, None), (2, ["default"]), (3, ["low"]), (4, None)]
    firsts = set()
    for job in range(50):
        notice = Notice(job, "default", 1)
        waits = [seconds_to_wait(worker, peers, notice) for worker in (1, 2, 4)]
        assert sorted(waits) == pytest.approx([0, 0.1, 0.2])
        firsts.add(waits.index(0))
        both = [seconds_to_wait(worker, peers, Notice(job, "default", 2)) for worker in (1, 2, 4)]
        assert sorted(both) == pytest.approx([0, 0, 0.1])
    assert firsts == {0, 1, 2}


def test_the_same_few_of_a_fleet_look_in_vain() -> None:
    """Whose look for a job that somebody else should take comes first."""
    fleet: Peers = [(worker, None) for worker in range(12)]
    seconds = set()
    for job in range(1, 200):
        waits = {w: seconds_to_wait(w, fleet, Notice(job, "default", 1)) for w, _ in fleet}
        seconds |= {worker for worker, wait in waits.items() if wait == pytest.approx(0.1)}
    assert len(seconds) <= 2, "the second, and the third for jobs that are the second's"


def test_everybody_looks_within_a_second() -> None:
    many: Peers = [(worker, None) for worker in range(100)]
    longest = max(seconds_to_wait(worker, many, Notice(7, "default", 1)) for worker, _ in many)
    assert longest == 1


async def test_a_notification_of_somebody_elses_harms_nobody(queue: Queue) -> None:
    async with working(queue):
        await until_status(queue, queue.defer("noop"), "succeeded")
        no_number = '{"type": "abort_job_requested"}'
        for payload in ("hello", "[]", no_number, '{"type": 1}', "[" * 7000):
            queue.all("SELECT pg_notify('procrastinate_any_queue_v1', %s)", payload)
        await asyncio.sleep(0.3)
        await until_status(queue, queue.defer("noop"), "succeeded")


async def test_a_scheduled_job_behind_a_lock_starts_on_time(queue: Queue) -> None:
    job = queue.defer("noop", at=1, lock="one")
    async with working(queue):
        await until_status(queue, job, "succeeded", 4)


@pytest.mark.slow
async def test_jobs_due_a_moment_apart_all_start(queue: Queue) -> None:
    async with working(queue, concurrency=20):
        for gap in (0.0005, 0.001, 0.002, 0.003, 0.004):
            rows = queue.all(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, scheduled_at)"
                " SELECT 'default', 'noop', now() + make_interval(secs => 0.3 + n * %s)"
                " FROM generate_series(0, 3) AS n RETURNING id",
                gap,
            )
            for (job,) in rows:
                await until_status(queue, job, "succeeded", 5)


@pytest.mark.parametrize("options", [{"at": -10}, {"lock": "of many"}])
async def test_priority_wins_among_due_and_locked_jobs_too(
    queue: Queue, options: dict[str, Any]
) -> None:
    lock = options.get("lock")
    for number in range(10):
        queue.defer("noop", **options | ({"lock": f"a{number}"} if lock else {}))
    urgent = queue.defer("noop", **options | ({"lock": "zzz"} if lock else {"at": -5}))
    queue.all("UPDATE procrastinate_jobs SET priority = 100 WHERE id = %s", urgent)
    await queue.work(concurrency=1)
    rows = queue.all("SELECT job_id FROM procrastinate_events WHERE type = 'started' ORDER BY id")
    assert rows[0] == (urgent,)


async def test_a_free_lock_is_found_behind_many_that_are_held_or_not_ours(queue: Queue) -> None:
    queue.all(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, lock)"
        " SELECT 'default', 'noop', 'doing'::procrastinate_job_status, 'a' || n"
        " FROM generate_series(1, 150) AS n"
    )
    for task in ("noop", "from_the_next_version"):
        queue.all(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock)"
            " SELECT 'default', %s, CASE %s WHEN 'noop' THEN 'a' ELSE 'b' END || n"
            " FROM generate_series(1, 150) AS n",
            task,
            task,
        )
    free = queue.defer("noop", lock="z")
    [(worker_id,)] = queue.all("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
    assert queue.all(CLAIM, worker_id) == [(free,)]


async def test_a_free_lock_is_found_behind_many_retries_whose_lock_is_held(queue: Queue) -> None:
    queue.all(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, lock)"
        " VALUES ('default', 'noop', 'doing', 'a')"
    )
    queue.all(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, scheduled_at)"
        " SELECT 'default', 'noop', 'a', now() - interval '1 hour' FROM generate_series(1, 150)"
    )
    later, free, _ = (queue.defer("noop", lock=lock, at=at)
                      for lock, at in (("m", 3600), ("z", -60), ("z", -30)))  # fmt: skip
    [(worker_id,)] = queue.all("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
    assert queue.all(CLAIM, worker_id) == [(free,)]
    assert queue.status(later) == "todo"


async def test_a_connection_that_falls_silent_is_replaced(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnecting, "LONGEST_WORK", 0.5)
    pids = []

    async def work(conn: database.Conn) -> None:
        pids.append(conn.info.backend_pid)
        if len(pids) == 1:
            await conn.execute("SELECT pg_sleep(30)")

    silent = ReconnectingConnection(queue.url, patience=10)
    await silent(work)
    await silent.close()
    assert len(set(pids)) == 2


def heartbeat(url: str, worker_id: int, blocked: float = 60) -> Heartbeat:
    return Heartbeat(url, worker_id, Limits(blocked=blocked), on_lost=lambda: None)


@pytest.mark.slow
def test_no_heartbeat_while_the_event_loop_is_blocked(queue: Queue) -> None:
    [(worker_id,)] = queue.all("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
    beating = heartbeat(queue.url, worker_id, blocked=1)
    beating.start()

    def silence() -> float:
        return float(queue.one("SELECT extract(epoch FROM now() - last_heartbeat)"
                               " FROM procrastinate_workers")[0])  # fmt: skip

    processes.until(lambda: silence() > 2.5, "silence")
    beating.tick()
    processes.until(lambda: silence() < 1.5, "a beat")
    beating.stop()


def test_who_beats_irregularly_judges_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage or a pause of this process all beats are old, those of the living too."""
    now = 100.0
    monkeypatch.setattr("activelog.queue.heartbeat.time.monotonic", lambda: now)
    beating = heartbeat("", 1)

    def beat(seconds: float, every: float = 1.0) -> None:
        nonlocal now
        until = now + seconds
        while now < until:
            now += every
            beating._note_beat()

    assert not beating.is_regular, "it has just begun"
    beat(6)
    assert not beating.is_regular, "others had no time yet to beat"
    beat(1)
    assert beating.is_regular
    now += 2.5
    assert not beating.is_regular, "its own beats do not come through"
    beat(6)
    assert not beating.is_regular, "nor did those of others, a moment ago"
    beat(2)
    assert beating.is_regular


def test_orphans_with_one_queueing_lock_are_both_rescued(queue: Queue) -> None:
    [(dead,), (alive,)] = queue.all(
        "INSERT INTO procrastinate_workers (last_heartbeat)"
        " VALUES (now() - interval '1 hour'), (now()) RETURNING id"
    )
    for _ in range(2):
        queue.all(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, status,"
            " worker_id) VALUES ('default', 'noop', 'one', 'doing', %s)",
            dead,
        )
    rescued = queue.all("SELECT failed FROM rescue_jobs(%s, '6 s', '30 s', 3)", alive)
    assert sorted(rescued) == [(False,), (True,)]
    assert "queueing lock" in queue.all("SELECT error FROM job_errors ORDER BY job_id")[1][0]


def test_deaths_before_a_retry_by_hand_do_not_count(queue: Queue) -> None:
    dead, me = (
        queue.one(
            "INSERT INTO procrastinate_workers (last_heartbeat)"
            " VALUES (now() - make_interval(mins => %s)) RETURNING id",
            minutes,
        )[0]
        for minutes in (5, 0)
    )
    job = queue.defer("noop")
    states = []
    for _ in range(6):
        queue.all("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s", dead)
        queue.all("SELECT * FROM rescue_jobs(%s, '6 s', '30 s', 3)", me)
        states.append(queue.status(job))
        if states[-1] == "failed":
            queue.all("UPDATE procrastinate_jobs SET status = 'todo'")
    assert states == ["todo", "todo", "failed"] * 2


def test_who_is_not_alive_itself_rescues_nobody(queue: Queue) -> None:
    [(dead,), (stalled,)] = queue.all(
        "INSERT INTO procrastinate_workers (last_heartbeat)"
        " VALUES (now() - interval '1 hour'), (now() - interval '5 s') RETURNING id"
    )
    queue.all(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id)"
        " VALUES ('default', 'noop', 'doing', %s)",
        dead,
    )
    assert queue.all("SELECT rescue_jobs(%s, '6 s', '30 s', 3)", stalled) == []
    assert queue.status(1) == "doing"


async def test_a_claim_whose_answer_was_lost_is_released(queue: Queue) -> None:
    queue.app.limits = Limits(reconcile=0.2)
    async with working(queue, queues=["another"]):
        await asyncio.to_thread(queue.until_workers, 1)
        queue.all(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id,"
            " queueing_lock, abort_requested) SELECT 'default', 'noop', 'doing', id, lock, aborted"
            " FROM procrastinate_workers, (VALUES (NULL, false), (NULL, true), ('one', false),"
            " ('one', false)) AS job (lock, aborted)"
        )
        for job, status in enumerate(["todo", "aborted", "todo", "failed"], 1):
            await until_status(queue, job, status)
    assert "queueing lock" in queue.one("SELECT error FROM job_errors")[0]


async def test_another_thread_can_stop_a_worker(queue: Queue) -> None:
    async with queue.app.open_async():
        worker = queue.app._worker(install_signal_handlers=False)
        running = asyncio.create_task(worker.run())
        await asyncio.to_thread(queue.until_workers, 1)
        await asyncio.to_thread(worker.stop)
        await asyncio.wait_for(running, 10)
    assert queue.all("SELECT * FROM procrastinate_workers") == []


async def test_priority_wins_within_a_queue(queue: Queue) -> None:
    for _ in range(5):
        queue.defer("noop")
    queue.all("UPDATE procrastinate_jobs SET priority = id")
    await queue.work(concurrency=1)
    rows = queue.all("SELECT job_id FROM procrastinate_events WHERE type = 'started' ORDER BY id")
    assert [job for (job,) in rows] == [5, 4, 3, 2, 1]


@pytest.mark.slow
async def test_a_worker_ends_with_an_error_when_postgres_stays_away(queue: Queue) -> None:
    queue.app.limits = Limits(outage=1.0)

    async def cut_off() -> None:
        await asyncio.sleep(0.5)
        with psycopg.connect(queue.url, dbname="postgres", autocommit=True) as conn:
            name = psycopg.conninfo.conninfo_to_dict(queue.url)["dbname"]
            conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )

    async with queue.app.open_async():
        cut = asyncio.create_task(cut_off())
        with pytest.raises(DatabaseGone):
            await queue.app.run_worker_async(install_signal_handlers=False)
        await cut


async def test_events_go_with_their_jobs_however_they_go(queue: Queue) -> None:
    gone, stays = queue.defer("marked"), queue.defer("marked")
    events = "SELECT DISTINCT job_id FROM procrastinate_events"
    assert sorted(queue.all(events)) == [(gone,), (stays,)]
    queue.all(f"DELETE FROM procrastinate_jobs WHERE id = {gone}")
    assert queue.all(events) == [(stays,)]
    queue.all("TRUNCATE procrastinate_jobs CASCADE")
    assert queue.all(events) == []


async def test_the_shell_and_healthchecks_work(queue: Queue) -> None:
    queue.defer("noop")
    shown = processes.run("procrastinate", "shell", "list_jobs", env=queue.env)
    assert shown.returncode == 0, shown.stderr
    assert "noop" in shown.stdout
    healthy = processes.run("procrastinate", "healthchecks", env=queue.env)
    assert healthy.returncode == 0, healthy.stderr
    deferred = processes.run("procrastinate", "defer", "in_thread", '{"seconds": 0}', env=queue.env)
    assert deferred.returncode == 0, deferred.stderr
    await queue.work()
    assert queue.all("SELECT 1 FROM procrastinate_jobs WHERE status <> 'succeeded'") == []


async def test_a_plan_made_while_nothing_waited_is_good_for_a_burst(queue: Queue) -> None:
    """Claiming and finishing read what they write, however much the table grew since a session
    made their plans: without it, claiming 10 of 20,000 read each of them ten times."""
    queue.all("VACUUM ANALYZE procrastinate_jobs")
    with psycopg.connect(queue.url, prepare_threshold=0) as conn:

        def read_so_far() -> int:
            row = conn.execute(
                b"SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables"
                b" WHERE relname = 'procrastinate_jobs'"
            ).fetchone()
            assert row is not None
            return int(row[0])

        def rows_read(statement: bytes, *params: object) -> tuple[list[int], int]:
            with conn.transaction():
                conn.execute(b"SET LOCAL plan_cache_mode = force_generic_plan")
                before = read_so_far()
                ids = [row[0] for row in conn.execute(statement, params).fetchall()]
                return ids, read_so_far() - before

        worker = conn.execute(b"INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
        worker_id = worker.fetchone()[0]  # type: ignore[index]
        conn.commit()
        claim = CLAIM.encode()
        finish = (
            b"SELECT finish_jobs(%s, %s, %s::procrastinate_job_status[], %s, %s::timestamptz[])"
        )
        assert rows_read(claim, worker_id)[0] == []
        assert rows_read(finish, [1], [worker_id], ["succeeded"], [True], [None])[0] == []
        conn.execute(
            b"INSERT INTO procrastinate_jobs (queue_name, task_name, lock)"
            b" SELECT 'default', 'noop', CASE WHEN n % 2 = 0 THEN n::text END"
            b" FROM generate_series(1, 20000) AS n"
        )
        conn.commit()
        claimed, read = rows_read(claim, worker_id)
        assert len(claimed) == 10
        assert read < 600, "of a hundred locks the first in line, twice"
        many = len(claimed)
        ends = ([worker_id] * many, ["succeeded"] * many, [True] * many, [None] * many)
        finished, read = rows_read(finish, claimed, *ends)
        assert sorted(finished) == sorted(claimed)
        assert read < 200


async def test_counts_whose_answer_was_lost_are_counted_once(queue: Queue) -> None:
    """The worker writes them again when the connection broke at their commit."""
    row = {"task": "noop", "queue": "default", "event": "succeeded", "count": 7, "seconds": 1,
           "waited": 1, "seconds_buckets": [7], "waited_buckets": [7]}  # fmt: skip
    async with await database.connect(queue.url, "test") as conn:
        worker_id = await queries.register_worker(conn, 1, None, ["noop"])
        for number in (1, 1, 2):
            await queries.count(conn, worker_id, number, [row])
    assert queue.one("SELECT sum(count) FROM job_outcomes") == (14,)
