"""Finding jobs on the admins' page, and doing something to all that were found."""

import asyncio
import re
from datetime import timedelta

from activelog.operations import admin as pages_sql
from activelog.operations import queries
from activelog.operations.model import JobFilter
from tests.conftest import World
from tests.http.test_pages import sign_in_admin

# A job an hour for a hundred hours, the oldest first: every tenth failed.
HISTORY = """
WITH came AS (
    INSERT INTO procrastinate_jobs (queue_name, task_name, status, args)
    SELECT 'default', 'activelog.bench',
           (CASE WHEN mod(n, 10) = 0 THEN 'failed' ELSE 'succeeded' END)::procrastinate_job_status,
           jsonb_build_object('user_id', 7000 + n)
    FROM generate_series(1, 100) AS n ORDER BY n RETURNING id
)
INSERT INTO procrastinate_events (job_id, type, at)
SELECT id, 'deferred',
       '2024-03-01Z'::timestamptz + row_number() OVER (ORDER BY id) * interval '1 hour'
FROM came
"""


async def found(world: World, query: str) -> list[int]:
    """The users in the arguments of the jobs that the page lists."""
    page = await world.http.get(f"/admin/jobs?{query}")
    assert page.status_code == 200, page.text
    return [int(user) for user in re.findall(r"<code>{&#34;user_id&#34;: (\d+)", page.text)]


async def admin(world: World) -> dict[str, str]:
    ours = await sign_in_admin(world)
    await world.rows(HISTORY)
    return ours


async def test_jobs_are_found_by_when_they_came(world: World) -> None:
    await admin(world)
    assert await found(world, "start_date=2024-03-04T00:00&end_date=2024-03-04T02:00") == [
        7074,
        7073,
        7072,
    ]
    assert await found(world, "start_date=2024-03-05T04:00Z") == [7100]
    assert await found(world, "end_date=2024-03-01T02:00:01%2B00:00") == [7002, 7001]
    assert await found(world, "start_date=2024-04-01T00:00") == []
    assert await found(world, "status=failed&start_date=2024-03-05T00:00") == [7100]
    for wrong in ("start_date=yesterday", "end_date=2024-13-01T00:00"):
        refused = await world.http.get(f"/admin/jobs?{wrong}")
        assert refused.status_code == 400
        assert "2024-01-31T23:59:59Z" in refused.text


async def test_older_pages_stay_within_the_time(world: World) -> None:
    await admin(world)
    page = await world.http.get("/admin/jobs?start_date=2024-03-02T00:00")
    [older] = re.findall(r'href="\?([^"]+)">Older', page.text)
    shown = await found(world, older.replace("&amp;", "&"))
    assert shown == list(range(7050, 7023, -1))


async def note_words(world: World, until: int) -> None:
    """As workers do, for jobs with lower ids."""
    async with world.pool.connection() as conn:
        while await queries.note_words(conn, until):
            pass


async def bury(world: World) -> None:
    """10,000 newer jobs: those before are looked through no more, but found by their words."""
    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name)"
        " SELECT 'default', 'activelog.other' FROM generate_series(1, 11000)"
    )
    await note_words(world, 12_000)
    assert await world.value("SELECT count(*) FROM job_words") >= 11


async def test_jobs_are_found_by_words_of_their_arguments_however_old(world: World) -> None:
    await admin(world)
    for _ in range(2):
        assert await found(world, 'text="user_id": 7010') == [7010]
        assert await found(world, "text=7011 user_id") == [7011]
        assert await found(world, "text=7012&status=failed") == []
        assert await found(world, "text=7020&status=failed") == [7020]
        assert await found(world, "text=user_id&end_date=2024-03-01T02:00") == [7002, 7001]
        assert await found(world, "text=10_") == await found(world, "text=7%25") == []
        await bury(world)


async def test_a_part_of_a_word_is_found_among_the_newest(world: World) -> None:
    await admin(world)
    assert await found(world, "text=710") == [7100]
    await bury(world)
    assert await found(world, "text=710") == []


async def test_jobs_of_a_task_are_found_however_old(world: World) -> None:
    await admin(world)
    await bury(world)
    newest = list(range(7100, 7050, -1))
    assert await found(world, "task=activelog.bench") == newest
    assert await found(world, "task=activelog.bench&queue=low") == []
    assert await found(world, "task=activelog.bench&queue=default") == newest
    succeeded = [user for user in newest if user % 10]
    assert (await found(world, "task=activelog.bench&status=succeeded"))[:45] == succeeded


async def test_words_go_with_the_last_job_that_has_them(world: World) -> None:
    await admin(world)
    await bury(world)
    await world.rows("DELETE FROM procrastinate_jobs WHERE id < 3000")
    await world.jobs_defer("activelog.cleanup.nightly")
    await world.work()
    assert await world.value("SELECT min(block) FROM job_words") == 3


async def test_words_are_noted_once_and_only_of_whole_blocks(world: World) -> None:
    await admin(world)
    await world.rows(
        "INSERT INTO procrastinate_jobs (id, queue_name, task_name, args) VALUES"
        """ (2000, 'q', 't', '{"n": ["Größe", 5]}'), (9999, 'q', 't', '{}')"""
    )
    await asyncio.gather(*(note_words(world, 3000) for _ in range(4)))
    await note_words(world, 9999)
    blocks = dict(await world.rows("SELECT block, words FROM job_words"))
    assert set(blocks) == {0, 2}
    assert set(blocks[2]) == {"", "größe", "5", "n", "q", "t"}


async def test_a_bulk_action_keeps_to_the_time(world: World) -> None:
    ours = await admin(world)
    chosen = {"status": "failed", "start_date": "2024-03-03T00:00", "end_date": "2024-03-03"}
    asked = await world.http.get("/admin/bulk/ask", params={**chosen, "action": "delete"})
    assert "Delete 3 jobs?" in asked.text
    await world.http.post("/admin/bulk", data={**chosen, "action": "delete"}, headers=ours)
    await world.work()
    left = await world.rows(
        "SELECT args->'user_id' FROM procrastinate_jobs WHERE status = 'failed' ORDER BY id"
    )
    assert [user for (user,) in left] == [7010, 7020, 7030, 7040, 7080, 7090, 7100]


async def test_the_first_job_of_a_time_is_found_among_gaps(world: World) -> None:
    await admin(world)
    await world.rows(
        "DELETE FROM procrastinate_jobs WHERE args->>'user_id' BETWEEN '7020' AND '7060'"
    )
    start = await world.value("SELECT '2024-03-01Z'::timestamptz")
    for hours, user in ((19, 7019), (20, 7061), (61, 7061), (62, 7062), (0, 7001)):
        first = await world.value(
            "SELECT args->'user_id' FROM procrastinate_jobs WHERE id ="
            " (SELECT min(id) FROM procrastinate_jobs WHERE id >= first_job_since(%s))",
            start + timedelta(hours=hours),
        )
        assert first == user


async def numbers(world: World, query: str) -> list[int]:
    """Of the jobs that the page lists."""
    page = await world.http.get(f"/admin/jobs?{query}")
    assert page.status_code == 200, page.text
    return [int(number) for number in re.findall(r'<td><a href="/admin/jobs/(\d+)">', page.text)]


async def failing(world: World, first: int, count: int, error: str, status: str = "failed") -> None:
    await world.rows(
        "INSERT INTO procrastinate_jobs (id, queue_name, task_name, args, status, attempts)"
        " OVERRIDING SYSTEM VALUE SELECT %s + n, 'default', 'noop', '{}',"
        f" '{status}', 1 FROM generate_series(1, %s) n", first, count,
    )  # fmt: skip
    await world.rows(
        "INSERT INTO job_errors (job_id, attempt, kind, error)"
        " SELECT %s + n, 1, 'error', %s || n FROM generate_series(1, %s) n", first, error, count,
    )  # fmt: skip


async def test_a_noisy_error_hides_no_jobs_of_another_state(world: World) -> None:
    await sign_in_admin(world)
    await failing(world, 1000, 3, "ValueError: the moon is full ")
    await failing(world, 5000, 1500, "ValueError: the moon is full ", "succeeded")
    assert await numbers(world, "text=moon&status=failed") == [1003, 1002, 1001]


async def test_what_fails_is_counted_as_a_whole_and_leads_to_its_jobs(world: World) -> None:
    await sign_in_admin(world)
    await failing(world, 1000, 1, "KeyError: a rare one ")
    await failing(world, 5000, 3000, "ValueError: row '12' is broken, id ")
    async with world.pool.connection() as conn:
        before = await pages_sql.failures(conn)
        await queries.fold_counts(conn)
        groups = await pages_sql.failures(conn)
    assert [(one.runs, one.error[:8]) for one in before] == [(3000, "ValueErr"), (1, "KeyError")]
    assert [(one.failure, one.runs) for one in groups] == [
        (one.failure, one.runs) for one in before
    ]
    assert sum(groups[0].hours) == 3000
    rare = groups[1]
    assert await numbers(world, f"failure={rare.failure}&task=noop") == [1001]
    assert await numbers(world, f"failure={rare.failure}&status=succeeded") == []


async def test_all_with_one_error_run_again(world: World) -> None:
    await sign_in_admin(world)
    await failing(world, 1000, 2, "KeyError: a rare one ")
    await failing(world, 5000, 5, "ValueError: another ")
    async with world.pool.connection() as conn:
        [_, rare] = await pages_sql.failures(conn)
        wanted = JobFilter(status="failed", failure=rare.failure)
        assert await pages_sql.count_matching(conn, wanted) == 2
        assert await pages_sql.matching(conn, wanted, 0, 10_000, 100) == [1001, 1002]


async def test_states_as_people_think_of_them(world: World) -> None:
    """Counted beside the filter, listed, and acted on."""
    await sign_in_admin(world)
    await world.rows(
        "INSERT INTO procrastinate_jobs"
        " (queue_name, task_name, status, lock, attempts, scheduled_at, args)"
        " SELECT 'default', 'activelog.bench', status::procrastinate_job_status, lock, attempts,"
        " now() + later * interval '1 minute', jsonb_build_object('user_id', user_id)"
        " FROM (VALUES (1, 'todo', NULL, 0, NULL), (2, 'todo', 'a', 0, NULL),"
        " (3, 'todo', 'b', 0, NULL), (4, 'todo', NULL, 0, 5), (5, 'todo', 'a', 0, 5),"
        " (6, 'todo', NULL, 2, 5), (7, 'todo', NULL, 2, -5), (8, 'doing', 'a', 0, NULL))"
        " AS v (user_id, status, lock, attempts, later)"
    )
    expected = {
        "waiting": [7, 3, 1],
        "scheduled": [5, 4],
        "retrying": [6],
        "blocked": [2],
        "doing": [8],
        "todo": [7, 6, 5, 4, 3, 2, 1],
    }
    for state, users in expected.items():
        assert await found(world, f"status={state}") == users, state
        assert await found(world, f"status={state}&text=user_id") == users, state
    page = (await world.http.get("/admin/jobs")).text
    shown = dict(re.findall(r'status=(\w+)"[^>]*>[^<]+ <b>([\d,+]+)<', page))
    counted = {state: str(len(users)) for state, users in expected.items() if state != "todo"}
    none = dict.fromkeys(("failed", "aborted", "cancelled", "succeeded"), "0")
    assert shown == counted | none
    asked = await world.http.get("/admin/bulk/ask?status=scheduled&action=run_now")
    assert "2 jobs" in asked.text
    started = await world.http.post(
        "/admin/bulk",
        data={"action": "cancel", "status": "retrying"},
        headers={"Origin": "http://activelog.test"},
    )
    assert started.status_code == 303
    await world.work()
    cancelled = "SELECT (args->>'user_id')::int FROM procrastinate_jobs WHERE status = 'cancelled'"
    assert await world.rows(cancelled) == [(6,)]
