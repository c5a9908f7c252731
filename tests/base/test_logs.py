"""One request followed through the log, from the HTTP call to its mails."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from activelog.base.logs import JsonLines
from tests.conftest import World

Lines = list[dict[str, Any]]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler, ours = logging.StreamHandler(stream), logging.getLogger("activelog")
    handler.setFormatter(JsonLines())
    before = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    yield stream
    ours.removeHandler(handler)
    ours.setLevel(before)


def lines(stream: io.StringIO) -> Lines:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_a_request_is_followed_to_its_job_and_its_mail(
    world: World, stream: io.StringIO
) -> None:
    body = {"email": "ada@example.com", "name": "Ada Lovelace", "password": "correct horse battery"}
    headers = {"X-Request-ID": "request-of-ada-1"}
    answer = await world.http.post("/api/v1/auth/register?token=secret", json=body, headers=headers)
    assert answer.headers["X-Request-ID"] == "request-of-ada-1"
    await world.work()
    mine = [line for line in lines(stream) if line.get("request_id") == "request-of-ada-1"]
    (served,) = [line for line in mine if line.get("route") == "/api/v1/auth/register"]
    assert (served["method"], served["status"]) == ("POST", 202)
    jobs = {line["task"]: line["job_id"] for line in mine if "task" in line}
    assert jobs.keys() == {"activelog.accounts.welcome", "activelog.accounts.verification"}
    mails = {line["job_id"] for line in mine if line["message"].startswith("Mail ")}
    assert mails == set(jobs.values())
    for private in ("ada@example.com", "Lovelace", "secret", "horse"):
        assert private not in stream.getvalue()


async def test_work_that_a_ticket_waits_for_says_by_whose_request(
    world: World, stream: io.StringIO
) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    await world.rows("INSERT INTO friendships (user_id, friend_id) VALUES (%s, %s)", ada.id, bob.id)
    for number in range(4):  # two at once, so two wait in their line
        headers = ada.headers | {"X-Request-ID": f"export-{number}"}
        path = "/api/v1/activities/export/csv"
        assert (await world.http.post(path, json={}, headers=headers)).status_code == 202
    await ada.call("POST", "/api/v1/activities", json={
        "activity_type": "running", "duration_minutes": 5, "activity_date": "2024-01-01T00:00:00Z",
    }, headers=ada.headers | {"X-Request-ID": "activity-1"})  # fmt: skip
    await world.work()
    found = {(line["task"], line.get("request_id")) for line in lines(stream) if "task" in line}
    for number in range(4):
        assert ("activelog.exports.generate", f"export-{number}") in found
    # One mail tells of those that became ready while it waited.
    announced = {said for task, said in found if task == "activelog.exports.announce"}
    assert announced <= {f"export-{number}" for number in range(4)}
    assert announced
    assert ("activelog.activities.notify", "activity-1") in found


async def test_an_id_that_could_forge_a_line_is_replaced(world: World) -> None:
    for hostile in ("x", "a" * 65, "abc defgh", 'abcdefgh"}'):
        answer = await world.http.get("/healthz", headers={"X-Request-ID": hostile})
        given = answer.headers["X-Request-ID"]
        assert given != hostile
        assert len(given) == 16


def test_a_traceback_stays_within_its_line() -> None:
    try:
        raise ValueError("went\nwrong")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "f", 1, "it %s", ("failed",), sys.exc_info())
    line = JsonLines().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert found["message"] == "it failed"
    assert "ValueError" in found["traceback"]
