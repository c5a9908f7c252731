"""The proxy of compose.yaml, run by Debian's nginx in front of a real API."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import httpx
import pytest

from tests.conftest import missing
from tests.processes import PYTHON, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("proxy")]
TEMPLATE = Path(__file__).parents[2] / ".docker" / "nginx.conf.template"
HTTPS, HTTP, API = 18443, 18480, 18481
AROUND = """
daemon off; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{server} }}
"""


@pytest.fixture
def proxy(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    if shutil.which("nginx") is None or shutil.which("openssl") is None:
        missing("nginx")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    server = TEMPLATE.read_text().replace("${API}", f"127.0.0.1:{API}")
    changes = {
        "listen 80;": f"listen 127.0.0.1:{HTTP};",
        "listen 443 ssl": f"listen 127.0.0.1:{HTTPS} ssl",
        "/etc/nginx/tls": str(tmp_path),
        "client_header_timeout 10s": "client_header_timeout 1s",
        "client_body_timeout 20s": "client_body_timeout 1s",
        "addresses 50": "addresses 5",
    }
    for ours, theirs in changes.items():
        assert ours in server, ours
        server = server.replace(ours, theirs)
    server = server.replace("    http2 on;\n", "")  # newer than Debian's nginx
    config = tmp_path / "nginx.conf"
    config.write_text(AROUND.format(folder=tmp_path, server=server))
    base_url = f"https://localhost:{HTTPS}"
    env = environment | {"ACTIVELOG_BASE_URL": base_url}
    log = (tmp_path / "api.log").open("w")
    commands: list[list[Any]] = [
        [PYTHON, "-m", "activelog", "api", "--port", str(API)],
        ["nginx", "-c", config],
    ]
    running = [subprocess.Popen(one, env=env, stdout=log, stderr=log) for one in commands]
    try:
        until(lambda: _answers(base_url), "the API behind the proxy")
        yield base_url
    finally:
        for process in running:
            process.terminate()
            process.wait()


def _answers(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/healthz", verify=False).status_code == 200
    except httpx.TransportError:
        return False


def connect() -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", HTTPS), timeout=15))


def closed_after(data: bytes) -> float:
    """Seconds until the other side closes, or answers and closes."""
    began = time.monotonic()
    with connect() as client:
        client.sendall(data)
        while client.recv(4096):
            pass
    return time.monotonic() - began


def test_it_closes_what_never_ends_and_passes_what_it_should(proxy: str) -> None:
    assert closed_after(b"") < 10
    assert closed_after(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-") < 10
    head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    assert closed_after(head) < 10

    plain = httpx.get(f"http://localhost:{HTTP}/activities?x=1", follow_redirects=False)
    assert plain.headers["Location"] == "https://localhost/activities?x=1"
    with httpx.Client(base_url=proxy, verify=False) as client:
        assert client.get("/metrics").status_code == 404
        page = client.get("/sign-in")
        assert page.status_code == 200
        assert "max-age" in page.headers["Strict-Transport-Security"]
        form = {"email": "a@example.com", "password": "wrong"}
        refused = client.post("/sign-in", data=form, headers={"Origin": proxy})
        assert refused.status_code == 401

    idle = [connect() for _ in range(5)]
    for one in idle:
        one.sendall(b"GET /api/v1/activities/export/csv/download HTTP/1.1\r\nHost: x\r\n")
    assert len(idle) == 5
    for one in idle:
        one.close()


def test_the_compose_file_mounts_it() -> None:
    assert (
        str(TEMPLATE.relative_to(TEMPLATE.parents[1]))
        in (TEMPLATE.parents[1] / "compose.yaml").read_text()
    )
    assert Template(TEMPLATE.read_text()).safe_substitute(API="api:8000").count("api:8000") == 1
    assert os.access(TEMPLATE, os.R_OK)
