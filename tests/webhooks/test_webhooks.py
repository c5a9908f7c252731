"""Webhooks, over real https to a server of ours."""

import base64
import hmac
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from activelog.base.errors import AppError
from activelog.base.settings import Settings
from activelog.webhooks import queries, sending
from activelog.webhooks.sending import NotDelivered, _is_public, clean_url, post, sign
from tests.conftest import User, World, full_once, running
from tests.exports.test_csv_export import request
from tests.http.test_pages import browse
from tests.mail.test_smtp import make_certificate

AT = "/api/v1/webhooks"


@dataclass
class Listener:
    """`status` is what it answers."""

    url: str
    status: int = 200
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.heard]


@contextmanager
def listening(folder: Path) -> Iterator[Listener]:
    make_certificate(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.heard.append((dict(self.headers), body))
            self.send_response(found.status)
            self.send_header("Location", f"{found.url}/inside")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found = Listener(f"https://localhost:{server.server_port}/hook")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    with listening(tmp_path) as found:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        yield found


@pytest.fixture
def inside(settings: Settings) -> Settings:
    return replace(settings, webhooks_private=True)


async def add(user: User, url: str, *events: str) -> dict[str, Any]:
    answer = await user.post(AT, json={"url": url, "events": list(events)})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def deliveries(user: User) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await user.get(f"{AT}/deliveries")).json()["deliveries"]
    return found


async def test_events_arrive_signed(listener: Listener, inside: Settings) -> None:
    async with running(inside) as world:
        ada, eve = await world.user(), await world.user("eve@example.com")
        made = await add(ada, listener.url, "activity.created", "export.completed")
        activity = await ada.log(notes="Round the lake")
        await eve.log()
        job = await request(ada)
        await world.work()
        logged, exported = listener.events()
    assert (logged["type"], logged["data"]) == ("activity.created", activity)
    assert exported["type"] == "export.completed"
    assert exported["data"]["job_id"] == job["job_id"]
    assert exported["data"]["result"]["download_url"].startswith("http")
    for headers, body in listener.heard:
        key = base64.b64decode(made["secret"].removeprefix("whsec_"))
        text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        signature = base64.b64encode(hmac.digest(key, text, "sha256")).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"


async def test_what_fails_is_tried_again_under_the_same_id(
    listener: Listener, inside: Settings
) -> None:
    async with running(inside) as world:
        ada = await world.user()
        await add(ada, listener.url, "activity.created")
        await ada.log()
        for status in (500, 302, 200):
            listener.status = status
            await world.make_due()
            await world.work()
        [delivery] = await deliveries(ada)
        assert (delivery["state"], delivery["attempts"], delivery["answer"]) == (
            "delivered", 3, "200"
        )  # fmt: skip
    assert len({headers["webhook-id"] for headers, _ in listener.heard}) == 1
    assert len(listener.heard) == 3, "no redirect was followed"


async def test_what_was_delivered_is_not_sent_again_though_postgres_failed_to_note_it(
    listener: Listener, inside: Settings
) -> None:
    async with running(inside) as world:
        await world.rows(full_once("webhook_deliveries"))
        ada = await world.user()
        await add(ada, listener.url, "activity.created")
        await ada.log()
        for _ in range(2):
            await world.make_due()
            await world.work()
        [delivery] = await deliveries(ada)
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)
    assert len(listener.heard) == 1


async def test_a_webhook_that_fails_for_days_is_disabled_and_told_of(
    listener: Listener, inside: Settings
) -> None:
    async with running(inside) as world:
        ada = await world.user()
        made = await add(ada, listener.url, "activity.created")
        listener.status = 500
        await ada.log()
        await ada.log()
        await world.work()
        await world.rows("UPDATE webhooks SET failing_since = now() - interval '4 days'")
        await world.make_due()
        await world.work()
        [mail] = world.mails(ada.address)
        assert mail["Subject"] == "Your webhook was disabled"
        assert listener.url in mail.get_body(("plain",)).get_content()
        assert {one["state"] for one in await deliveries(ada)} == {"failed"}
        await ada.log()
        assert len(await deliveries(ada)) == 2, "nothing is sent any more"
        listener.status = 200
        assert (await ada.post(f"{AT}/enable", json={"id": made["id"]})).status_code == 204
        await ada.log()
        await world.work()
        assert (await deliveries(ada))[0]["state"] == "delivered"


async def test_a_run_that_was_thought_dead_fails_nothing_that_was_delivered(
    listener: Listener, inside: Settings
) -> None:
    async with running(inside) as world:
        ada = await world.user()
        await add(ada, listener.url, "activity.created")
        await ada.log()
        await world.work()
        async with world.pool.connection() as conn:
            one = await world.value("SELECT id FROM webhook_deliveries")
            assert not await queries.failed(conn, one, "late", is_last=True, is_gone=True)
        assert [one["state"] for one in await deliveries(ada)] == ["delivered"]
        assert await world.rows("SELECT failing_since, disabled_at FROM webhooks") == [(None, None)]


async def test_who_is_gone_is_not_asked_again(listener: Listener, inside: Settings) -> None:
    async with running(inside) as world:
        ada = await world.user()
        await add(ada, listener.url, "activity.created")
        listener.status = 410
        await ada.log()
        await world.work()
        [webhook] = (await ada.get(AT)).json()["webhooks"]
        assert webhook["disabled_at"] is not None
    assert len(listener.heard) == 1


async def test_an_event_can_be_sent_again_by_its_owner(
    listener: Listener, inside: Settings
) -> None:
    async with running(inside) as world:
        ada, eve = await world.user(), await world.user("eve@example.com")
        made = await add(ada, listener.url, "activity.created")
        await ada.log()
        await world.work()
        [first] = await deliveries(ada)
        path, body = f"{AT}/deliveries/replay", {"id": first["id"]}
        assert (await eve.post(path, json=body)).status_code == 404
        assert (await eve.call("DELETE", f"{AT}?id={made['id']}")).status_code == 404
        assert await deliveries(eve) == []
        assert (await ada.post(path, json=body)).status_code == 202
        await world.work()
        ours = browse(world, ada)
        page = (await world.http.get("/webhooks")).text
        assert page.count("delivered") >= 2
        await world.http.post("/webhooks/replay", data=body, headers=ours)
        await world.work()
    assert len(listener.heard) == 3


async def test_what_is_deleted_meanwhile_is_not_told(listener: Listener, inside: Settings) -> None:
    async with running(inside) as world:
        ada = await world.user()
        await add(ada, listener.url, "activity.created")
        activity = await ada.log()
        await ada.call("DELETE", f"/api/v1/activities/{activity['id']}")
        await world.work()
        [delivery] = await deliveries(ada)
        assert "deleted" in delivery["answer"]
    assert listener.heard == []


async def test_what_is_deleted_is_no_success_of_a_webhook(
    listener: Listener, inside: Settings
) -> None:
    async with running(inside) as world:
        ada = await world.user()
        await add(ada, listener.url, "activity.created")
        made = await ada.log()
        await world.rows("UPDATE webhooks SET failing_since = now()")
        await ada.call("DELETE", f"/api/v1/activities/{made['id']}")
        await world.work()
        [one] = await deliveries(ada)
        assert (one["state"], one["answer"]) == ("failed", "nothing to tell: it is deleted")
        assert await world.value("SELECT failing_since IS NOT NULL FROM webhooks")


async def test_an_event_is_not_sent_again_to_a_disabled_webhook(
    listener: Listener, inside: Settings
) -> None:
    async with running(inside) as world:
        ada, eve = await world.user(), await world.user("eve@example.com")
        await add(ada, listener.url, "activity.created")
        await ada.log()
        await world.work()
        await world.rows("UPDATE webhooks SET disabled_at = now()")
        [one] = await deliveries(ada)
        again = {"json": {"id": one["id"]}}
        assert (await eve.post(f"{AT}/deliveries/replay", **again)).status_code == 404
        refused = await ada.post(f"{AT}/deliveries/replay", **again)
        assert refused.status_code == 409
        assert "enable it" in refused.json()["message"]
        assert len(await deliveries(ada)) == 1


async def test_no_request_goes_to_a_private_address(listener: Listener, world: World) -> None:
    ada = await world.user()
    await add(ada, listener.url, "activity.created")
    await ada.log()
    await world.work()
    [delivery] = await deliveries(ada)
    assert delivery["answer"] == "its name leads to a private address"
    assert listener.heard == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
     "100.64.0.1", "224.0.0.1", "::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1",
     "64:ff9b::7f00:1", "2002:7f00:1::", "255.255.255.255", "fec0::1",
     "64:ff9b:1::7f00:1", "::7f00:1", "::ffff:0:7f00:1"],
)  # fmt: skip
def test_private_addresses_are_known_in_every_form(address: str) -> None:
    assert not _is_public(address)
    assert _is_public("93.184.216.34")
    assert _is_public("2606:2800:220:1::")


@pytest.mark.parametrize(
    "url",
    ["http://example.com", "https://", "ftp://example.com", "https://u:p@example.com",
     "https://example.com/#x", "https://example.com:99999/", "file:///etc/passwd", "//x",
     "https://exämple.com"],
)  # fmt: skip
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(AppError):
        clean_url(url)


def test_a_certificate_of_another_name_is_refused(listener: Listener) -> None:
    url = listener.url.replace("localhost", "127.0.0.1")
    with pytest.raises(NotDelivered, match="certificate"):
        post(url, sign("whsec_eA==", "id", b"{}", 0), may_be_private=True)


async def test_there_are_ten_at_most_and_large_imports_are_no_events(world: World) -> None:
    ada = await world.user()
    for number in range(10):
        await add(ada, f"https://example.com/{number}", "activity.created")
    for url, why in (("https://example.com/x", "ten"), ("https://example.com/1", "that address")):
        if why != "ten":
            await world.rows("DELETE FROM webhooks WHERE url LIKE '%%9'")
        refused = await ada.post(AT, json={"url": url, "events": ["report.ready"]})
        assert (refused.status_code, why in refused.text) == (409, True)
    for count, made in ((101, 0), (2, 2 * 9)):
        await world.rows(
            "INSERT INTO activities (user_id, activity_type, duration_minutes, distance_km,"
            " activity_date) SELECT %s, 'run', 1, 0, now() FROM generate_series(1, %s)",
            ada.id, count,
        )  # fmt: skip
        assert await world.value("SELECT count(*) FROM webhook_deliveries") == made


@pytest.mark.parametrize("is_encrypted", [True, False])
def test_who_sends_a_byte_now_and_then_holds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_encrypted: bool
) -> None:
    make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    monkeypatch.setattr(sending, "PATIENCE", 1.0)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    over = threading.Event()

    def drip(listening: socket.socket) -> None:
        taken, _ = listening.accept()
        with suppress(OSError):
            sock = context.wrap_socket(taken, server_side=True) if is_encrypted else taken
            sock.sendall(b"HTTP/1.1 200 OK\r\nX: " if is_encrypted else b"\x16")
            while not over.wait(0.1):
                sock.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=[listening], daemon=True)
        thread.start()
        url = f"https://localhost:{listening.getsockname()[1]}/"
        try:
            with pytest.raises(NotDelivered, match="within 1 s"):
                post(url, sign("whsec_eA==", "id", b"{}", 0), may_be_private=True)
        finally:
            over.set()
            thread.join(10)
    assert not thread.is_alive()
