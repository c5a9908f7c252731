"""Traces, as a collector gets them over OTLP. (The one receiver in a registry is far too large for
a test, tests/README.md: a few lines of this file take what the exporter of the real SDK sends.)"""

import importlib.util
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from activelog.base import traces
from activelog.base.errors import CommandError
from tests import processes
from tests.conftest import World, missing

pytestmark = pytest.mark.slow

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ADDRESS = "john.doe@example.com"


@dataclass
class Collector:
    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    @property
    def spans(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        return [
            span
            for body in list(self.bodies)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def of_trace(self) -> dict[str, Any]:
        """By name, the last of each."""
        return {span.name: span for span in self.spans if span.trace_id.hex() == TRACE}


@pytest.fixture
def collector() -> Iterator[Collector]:
    if importlib.util.find_spec("opentelemetry.sdk") is None:
        missing("opentelemetry-sdk")
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield found
        server.shutdown()


@contextmanager
def api(env: dict[str, str]) -> Iterator[str]:
    port = processes.free_port()
    command = [processes.PYTHON, "-m", "activelog", "api", "--port", str(port)]
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    try:
        processes.until(lambda: processes.answers(port), "the API")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


async def test_a_request_its_jobs_and_their_mails_are_one_trace(
    world: World, environment: dict[str, str], collector: Collector
) -> None:
    env = environment | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    body = f'{{"email": "{ADDRESS}", "password": "correct horse battery", "name": "John"}}'
    with api(env) as url, processes.worker(env):
        headers = {"Content-Type": "application/json", "traceparent": f"00-{TRACE}-{PARENT}-01"}
        async with httpx.AsyncClient(base_url=url) as client:
            answer = await client.post("/api/v1/auth/register", content=body, headers=headers)
        assert answer.status_code == 202
        wanted = ("POST /api/v1/auth/register", "activelog.accounts.welcome", "mail")
        processes.until(
            lambda: (
                all(name in collector.of_trace() for name in wanted)
                and collector.of_trace()["mail"].parent_span_id in _of_jobs(collector)
            ),
            f"spans {wanted}, and that of the mail's job",
        )
    spans = collector.of_trace()
    request, job, mail = (spans[name] for name in wanted)
    assert request.parent_span_id.hex() == PARENT
    assert {attribute.key for attribute in request.attributes} == {
        "http.request.method",
        "http.route",
        "http.response.status_code",
    }
    names = {span.span_id: span for span in spans.values()}
    assert job.parent_span_id in {request.span_id, *names}
    assert job.start_time_unix_nano >= request.start_time_unix_nano
    of_jobs = _of_jobs(collector)
    assert mail.parent_span_id in of_jobs
    assert any(
        span.name.startswith("Postgres ") and span.parent_span_id in of_jobs
        for span in collector.spans
    )
    assert all(span.trace_id.hex() == TRACE for span in collector.spans), "idle workers have none"
    assert not any("--" in span.name for span in collector.spans), "comments are no names"
    for secret in (ADDRESS, "John", "battery"):
        assert not any(secret.encode() in body for body in collector.bodies)


def _of_jobs(collector: Collector) -> set[bytes]:
    return {span.span_id for span in collector.spans if span.name.startswith("activelog.accounts.")}


async def test_the_next_worker_knows_of_a_ticket_s_trace(
    world: World, environment: dict[str, str], collector: Collector
) -> None:
    """A worker that has traces off runs jobs that have one. An error is told by its type."""
    ada = await world.user()
    args = {"traceparent": f"00-{TRACE}-{PARENT}-01", "user_id": ada.id}
    await world.jobs_defer("activelog.accounts.welcome", **args)
    await world.work()
    assert len(world.mails(ada.address)) == 1
    env = environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    await world.jobs_defer("activelog.exports.generate", **args | {"ticket_id": "nonsense"})
    with processes.worker(env, "--wait") as worker:
        await world.until(
            "SELECT EXISTS (SELECT FROM procrastinate_jobs"
            " WHERE task_name = 'activelog.exports.generate' AND status = 'failed')"
        )
        worker.terminate()
        worker.wait(timeout=30)
    failed = collector.of_trace()["activelog.exports.generate"]
    assert (failed.status.code, failed.status.message) == (2, "Permanent")


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setitem(os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setattr("importlib.import_module", lacking)
    with pytest.raises(CommandError, match="pip install"):
        traces.start("activelog api")
