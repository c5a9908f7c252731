"""Finding jobs on the admins' page, and doing something to all that were found."""

import re
from datetime import timedelta

from tests.conftest import World
from tests.test_site import browse

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
    ada = await world.user()
    await world.rows("UPDATE users SET is_admin = true")
    await world.rows(HISTORY)
    return browse(world, ada)


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


async def test_failed_jobs_are_found_by_words_of_their_arguments_however_old(world: World) -> None:
    await admin(world)
    # 10,000 newer ones: what does not end badly is looked through no further back.
    await world.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name)"
        " SELECT 'default', 'activelog.bench' FROM generate_series(1, 10000)"
    )
    assert await found(world, 'text="user_id": 7010') == [7010]
    assert await found(world, "text=7011") == []
    assert await found(world, "text=7011&end_date=2024-04-01T00:00") == [7011]


async def test_a_bulk_action_keeps_to_the_time(world: World) -> None:
    ours = await admin(world)
    chosen = {"status": "failed", "start_date": "2024-03-03T00:00", "end_date": "2024-03-03"}
    asked = await world.http.post(
        "/admin/bulk/ask", data={**chosen, "action": "delete"}, headers=ours
    )
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
