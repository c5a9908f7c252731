"""Server-sent events of a job: what a browser's EventSource would see."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from activelog import database
from tests.conftest import User, World
from tests.exports.test_csv_export import request


def events(response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in response.text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if fields:
            assert fields["event"] == "status"
            found.append((fields["id"], json.loads(fields["data"])))
    return found


async def follow(user: User, job: dict[str, Any], **headers: str) -> httpx.Response:
    return await user.get(f"{job['status_url']}/events", headers=headers)


@pytest.mark.slow
async def test_a_job_is_followed_to_its_end_by_many(world: World) -> None:
    ada = await world.user()
    job = await request(ada)
    following = [asyncio.create_task(follow(ada, job)) for _ in range(5)]
    listeners = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'activelog notifier'"
    )
    await world.until(listeners)
    async with database.transaction(world.pool) as conn:
        await conn.execute("LOCK TABLE activities IN ACCESS EXCLUSIVE MODE")
        working = asyncio.create_task(world.work())
        await world.until("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'")
        await asyncio.sleep(3)  # each of them sees it at work
    await working
    for response in await asyncio.wait_for(asyncio.gather(*following), 10):
        assert response.headers["Content-Type"].startswith("text/event-stream")
        states = [status["status"] for _, status in events(response)]
        assert states[0] == "pending"
        assert states[-1] == "completed"
        assert "processing" in states
        progress = [status["progress"] for _, status in events(response)]
        assert progress == sorted(progress)
    assert await world.value(listeners) == 1


async def test_a_broken_connection_goes_on_where_it_was(world: World) -> None:
    ada = await world.user()
    job = await request(ada)
    await world.work()
    [(number, status)] = events(await follow(ada, job))
    assert status["status"] == "completed"
    assert (await follow(ada, job, **{"Last-Event-ID": number})).status_code == 204
    assert len(events(await follow(ada, job, **{"Last-Event-ID": "older"}))) == 1


async def test_a_failure_and_a_cancellation_are_events_too(world: World) -> None:
    ada = await world.user()
    cancel = "SELECT procrastinate_cancel_job_v1(max(id), false, false) FROM procrastinate_jobs"
    for statement, state in (
        ("UPDATE procrastinate_jobs SET status = 'failed' WHERE status = 'todo'", "failed"),
        (f"{cancel} WHERE queue_name = 'low'", "cancelled"),
    ):
        job = await request(ada)
        following = asyncio.create_task(follow(ada, job))
        await asyncio.sleep(0.3)
        await world.rows(statement)
        response = await asyncio.wait_for(following, 10)
        assert events(response)[-1][1]["status"] == state


async def test_other_peoples_jobs_are_not_there(world: World) -> None:
    ada, eve = await world.user(), await world.user("eve@example.com")
    job = await request(ada)
    assert (await follow(eve, job)).status_code == 404
    assert (await world.http.get(f"{job['status_url']}/events")).status_code == 401
