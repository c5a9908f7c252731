import asyncio
import errno
import html
import json
import os
import re
import shlex
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import anyio
import httpx
import psycopg
import pytest
from openapi_spec_validator import validate

from activelog import http
from activelog.base.errors import AppError
from activelog.base.settings import Settings
from activelog.friends import queries as friends
from activelog.web import ENDPOINTS, create_app
from tests.conftest import World
from tests.http.test_pages import browse


async def test_the_openapi_document_is_valid_and_complete(world: World) -> None:
    document = (await world.http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    validate(document)
    for endpoint in ENDPOINTS:
        operation = document["paths"][endpoint.path][endpoint.method.lower()]
        assert operation["summary"]
        assert {str(status) for status in endpoint.answers} <= set(operation["responses"])
        assert "400" in operation["responses"]
        if "user_id" in endpoint.parameters:
            assert operation["security"] == [{"bearer": []}]
    names = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert len(names) == len(set(names))


async def test_every_field_has_an_example_or_says_what_it_holds(world: World) -> None:
    schemas = (await world.http.get("/openapi.json")).json()["components"]["schemas"]
    for name, shape in schemas.items():
        for field, schema in shape["properties"].items():
            known = {"examples", "default", "anyOf", "$ref", "items", "description"}
            assert known & schema.keys() or name in ("Problem", "ExportItem"), f"{name}.{field}"


async def test_the_docs_page_needs_nothing_from_outside(world: World) -> None:
    page = await world.http.get("/docs")
    assert page.status_code == 200
    assert "/api/v1/activities/export/csv" in page.text
    assert page.text.count("src=") == page.text.count('src="/static/')
    assert "https://" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


async def test_metrics_say_what_waits(world: World) -> None:
    await world.register("ada@example.com")
    text = (await world.http.get("/metrics")).text
    assert 'activelog_jobs_waiting{queue="critical"} 2.0' in text
    await world.work()
    world.services.memo.clear()  # it is measured every two seconds at most
    text = (await world.http.get("/metrics")).text
    assert 'activelog_jobs_waiting{queue="critical"} 0.0' in text


@pytest.mark.slow
async def test_without_a_database_it_says_503(settings: Settings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql://x@127.0.0.1:{unused.getsockname()[1]}/x"
    app = create_app(replace(settings, database_url=url))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as http,
    ):
        assert (await http.get("/healthz")).status_code == 200
        body = {"email": "a@example.com", "password": "x"}
        away = await http.post("/api/v1/auth/login", json=body)
    assert away.status_code == 503
    assert away.json()["error"] == "unavailable"
    assert int(away.headers["Retry-After"]) > 0


async def test_requests_survive_a_restart_of_their_connections(world: World) -> None:
    ada = await world.user()
    await world.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert (await ada.get("/api/v1/activities")).status_code == 200


@pytest.mark.parametrize("length", ["-1", "x", str(10**12)])
async def test_lengths_that_cannot_be(world: World, length: str) -> None:
    ada = await world.user()
    headers = {"Content-Length": length}
    refused = await ada.post("/api/v1/activities", content=b"{}", headers=headers)
    assert refused.status_code == 413


async def test_a_body_that_never_ends_is_cut_off(world: World) -> None:
    ada = await world.user()
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    refused = await ada.post("/api/v1/activities", content=endless())
    assert refused.status_code == 413
    assert sent < 1_000_000


async def test_a_client_that_hangs_up_is_no_error_of_ours(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    ada = await world.user()
    scope = {
        "type": "http", "method": "POST", "path": "/api/v1/activities", "query_string": b"",
        "headers": [(b"authorization", ada.headers["Authorization"].encode())], "app": world.app,
    }  # fmt: skip
    answers: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        answers.append(message)

    with caplog.at_level("INFO"):
        await world.app(scope, receive, send)
    assert answers[0]["status"] == 499
    assert "Traceback" not in caplog.text


async def test_metrics_of_a_database_that_hangs_are_503(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelog.operations.routes._PATIENCE", 0.2)
    async with world.pool.connection() as conn, conn.transaction():
        await conn.execute("LOCK TABLE job_counts")
        assert (await world.http.get("/metrics")).status_code == 503


async def test_a_store_that_is_away_is_503_for_an_upload(
    with_settings: Callable[..., Any], settings: Settings, tmp_path: Any
) -> None:
    (tmp_path / "objects").write_text("in the way: no folder can be made here")
    async with with_settings() as world:
        ada = await world.user()
        away = await ada.post(
            "/api/v1/activities/import", content=b"activity_type,duration_minutes,activity_date\n"
        )
        assert away.status_code == 503
        assert "Retry-After" in away.headers
        assert await world.value("SELECT count(*) FROM job_tickets") == 0


def test_problems_have_one_shape() -> None:
    body = json.loads(bytes(http.problem(AppError.invalid("end_date", "is odd")).body))
    assert body == {
        "error": "invalid request",
        "message": "end_date: is odd",
        "details": {"end_date": "is odd"},
    }


async def test_an_error_of_ours_is_answered_counted_and_says_its_id(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("activelog.accounts.queries.profile", broken)
    ada = await world.user()
    with caplog.at_level("INFO"):
        failed = await ada.get("/api/v1/users/me")
    assert failed.status_code == 500
    assert failed.json()["error"] == "internal error"
    assert failed.headers["X-Request-ID"]
    assert "GET /api/v1/users/me 500" in caplog.text
    metrics = (await world.http.get("/metrics")).text
    assert 'route="/api/v1/users/me",status="500"} 1.0' in metrics


async def test_no_answer_leads_to_where_the_client_says_we_are(world: World) -> None:
    answer = await world.http.get("/sign-in/", headers={"Host": "evil.example"})
    assert answer.status_code == 404


async def test_a_browser_gets_a_page_and_a_program_json(world: World) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml"}
    for path, status in (("/nothing/here", 404), ("/files/x?expires=1", 403)):
        page = await world.http.get(path, headers=browser)
        assert page.status_code == status
        assert page.headers["Content-Type"].startswith("text/html")
        assert (await world.http.get(path)).json()["message"]


async def test_a_path_cannot_forge_a_line_of_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="activelog.http.access_log"):
        await world.http.get("/x%0aINFO:activelog.http.access_log:GET%20/fake%20200")
    [said] = [one.getMessage() for one in caplog.records if "fake" in one.getMessage()]
    assert "\n" not in said


async def test_a_body_that_stops_coming_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activelog.http.bodies._PATIENCE", 0.05)
    ada = await world.user()

    async def body() -> AsyncIterator[bytes]:
        yield b"id,activity_type"
        await anyio.sleep_forever()

    headers = ada.headers | {"Content-Length": "1000"}
    with anyio.fail_after(10):
        answer = await world.http.post("/api/v1/activities/import", content=body(), headers=headers)
    assert answer.status_code == 408


async def test_an_upload_of_another_kind_is_refused_by_its_beginning(world: World) -> None:
    ada = await world.user()
    taken = 0

    async def film() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b"\x89PNG" + b"\0" * 100_000

    answer = await ada.post("/api/v1/activities/import", content=film())
    assert answer.status_code == 400
    assert taken < 5


async def test_the_page_of_the_api_has_a_line_for_the_shell_of_each_request(world: World) -> None:
    page = html.unescape((await world.http.get("/docs")).text)
    lines = re.findall(r"<pre>(curl .*?)</pre>", page, re.DOTALL)
    document = (await world.http.get("/openapi.json")).json()
    tagged = [one for path in document["paths"].values() for one in path.values()]
    assert len(lines) == len(tagged)
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "curl"
        assert not any("{" in word for word in words if word.startswith("http")), line
        if "-d" in words:
            assert json.loads(words[words.index("-d") + 1]), line
    assert "curl -X POST" in page
    assert '"activity_type": "running"' in page


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_an_outage_that_is_said(
    world: World, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    ada = await world.user()
    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    text = "date,type,duration_minutes\n2024-01-15,running,45\n"
    answer = await ada.post("/api/v1/activities/import", content=text)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "60"
    assert "no room on our disks" in answer.json()["message"]


async def test_a_form_that_meets_an_outage_is_answered_by_a_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    ada = await world.user()
    headers = browse(world, ada)
    monkeypatch.setattr(friends, "request", away)
    form = {"email": "eve@example.com"}
    shown = await world.http.post(
        "/friends", data=form, headers=headers | {"Accept": "text/html,*/*;q=0.8"}
    )
    assert (shown.status_code, shown.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert "database is away for a moment" in shown.text
    by_script = await world.http.post("/friends", data=form, headers=headers)
    assert by_script.status_code == 503
    assert by_script.json()["error"] == "unavailable"


async def test_a_request_that_a_stop_cuts_off_hears_that_it_may_try_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn cancels what is under way when its patience ends."""
    started = anyio.Event()

    async def slow(*_: object, **__: object) -> None:
        started.set()
        await anyio.sleep_forever()

    ada = await world.user()
    monkeypatch.setattr(world.services.storage, "put", slow)
    text = "activity_type,duration_minutes,distance_km,activity_date\nrunning,45,7,2024-01-15\n"
    told: list[dict[str, Any]] = []
    body = [{"type": "http.request", "body": text.encode(), "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not body:
            await anyio.sleep_forever()
        return body.pop()

    async def send(message: Any) -> None:
        told.append(dict(message))

    path = "/api/v1/activities/import"
    headers = [(name.lower().encode(), value.encode()) for name, value in ada.headers.items()]
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "client": ("203.0.113.7", 1),
        "server": ("x.test", 80), "scheme": "http", "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    request = asyncio.ensure_future(world.app(scope, receive, send))
    with anyio.fail_after(20):
        await started.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert told[0]["status"] == 503
    assert json.loads(told[1]["body"])["message"] == "this server is stopping; try again"
