"""Mails through the whole path (claim, render, send, record) against one reused smtplib connection
that only sends, to the same sink."""

import asyncio
import os
import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from activelog.mail import Recipient, Templates, compose
from activelog.mail.message import Message
from tests.bench.data import quietly
from tests.bench.http import SECRET
from tests.bench.measure import Place, Result, cpu_seconds, median, places
from tests.processes import PYTHON

ROUNDS, MAILS, ALONE = 3, 3_000, 3_000
SLOTS = (1, 4, 16, 64)
AWAY = 0.040  # seconds

USERS = """
INSERT INTO users (email, name, password_hash, verified_at)
SELECT n || '@example.com', 'Ada', 'none', now() FROM generate_series(1, %s) AS n
ON CONFLICT DO NOTHING;
"""
DEFER = """
SELECT count(procrastinate_defer_jobs_v1((
    SELECT array_agg(ROW('critical', 'activelog.accounts.welcome', 0, NULL, NULL,
                         jsonb_build_object('user_id', id), NULL)::procrastinate_job_to_defer_v1)
    FROM (SELECT id FROM users ORDER BY id LIMIT %s) AS chosen)))"""
WEEKLY = 100_000
ACTIVE = """
INSERT INTO activities (user_id, activity_date, duration_minutes, distance_km, activity_type,
                        calories)
SELECT id, now() - n * interval '47 hours', 20 + (id + n) %% 60, (id + n) %% 20,
       (ARRAY['running', 'ride', 'yoga'])[(id + n) %% 3 + 1], 300
FROM users, generate_series(1, 6) AS n"""
DEFER_WEEKLY = """
SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(
    'default', 'activelog.summaries.weekly', 0, NULL, NULL, '{}', NULL
)::procrastinate_job_to_defer_v1])"""
SENT = "SELECT sum(count) FROM mail_counts WHERE outcome = 'sent'"
SPAN = (
    "SELECT extract(epoch FROM max(finished_at) - min(claimed_at)) FROM mails WHERE state = 'sent'"
)


def measure() -> Iterator[Result]:
    with places() as (ours, _), _sink() as port:
        quietly(ours, USERS, MAILS)
        ours.execute("VACUUM ANALYZE users")
        yield _render()
        for slots in SLOTS:
            yield _against_smtplib(ours, port, slots)
        with _sink(AWAY) as far:
            yield _far(ours, far)
        yield from _weekly(ours, port)


def _against_smtplib(place: Place, port: int, slots: int) -> Result:
    rates, alone = [], []
    for _ in range(ROUNDS):
        alone.append(_smtplib(port))
        rate, cost, memory = _path(place, port, slots)
        rates.append(rate)
    case = "mail.path_vs_smtplib" if slots == max(SLOTS) else f"mail.path_{slots}_slots"
    note = (
        f"{slots} slots of one worker; {cost:.0f} µs of its CPU a mail, which is the limit;"
        f" peak {memory:.0f} MB"
    )
    return Result(case, median(rates), "mails/s", median(alone), True, note)


def _far(place: Place, port: int) -> Result:
    """With a relay each of whose answers is under way for a while, as of another continent."""
    slots = max(SLOTS)
    rates = [_path(place, port, slots)[0] for _ in range(ROUNDS)]
    note = f"{slots} slots; each answer of the relay comes {1000 * AWAY:.0f} ms later"
    return Result("mail.far_relay", median(rates), "mails/s", 1000, True, note)


def _message() -> Message:
    templates = Templates(None, "https://activelog.example")
    content = templates.render("welcome", {"name": "Ada", "unsubscribe_url": ""})
    return compose("ActiveLog <a@x.test>", Recipient("Ada", "ada@x.test"), "<1@x.test>", content)


def _render() -> Result:
    """Rendering and composing, against the limit of half a millisecond."""
    templates = Templates(None, "https://activelog.example")
    recipient, times = Recipient("Ada", "ada@x.test"), []
    for _ in range(500):
        began = time.perf_counter()
        content = templates.render("welcome", {"name": "Ada", "unsubscribe_url": ""})
        compose("ActiveLog <a@x.test>", recipient, "<1@x.test>", content)
        times.append((time.perf_counter() - began) * 1e6)
    note = "three templates and the message's bytes"
    return Result("mail.render", median(times), "µs", 500, False, note)


def _smtplib(port: int) -> float:
    """Mails per second on one connection."""
    message = _message()
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        began = time.perf_counter()
        for _ in range(ALONE):
            smtp.sendmail("a@x.test", "ada@x.test", message.data)
        return ALONE / (time.perf_counter() - began)


def _path(place: Place, port: int, slots: int) -> tuple[float, float, float]:
    """Mails per second; the worker's µs of CPU a mail and its peak memory in MB."""
    place.execute("TRUNCATE procrastinate_jobs, mails, mail_counts CASCADE")
    with _worker(place, port, "critical", slots) as worker:
        before = cpu_seconds([worker.pid])
        place.execute(DEFER, MAILS)
        _await_sent(place, MAILS)
        used = cpu_seconds([worker.pid]) - before
        memory = _peak_memory(worker)
    return MAILS / float(str(place.one(SPAN))), used / MAILS * 1e6, memory


def _weekly(place: Place, port: int) -> Iterator[Result]:
    """The schedule of a Sunday for everybody, to the last mail."""
    alone = _smtplib(port)
    place.execute("TRUNCATE procrastinate_jobs, mails, mail_counts CASCADE")
    quietly(place, USERS, WEEKLY)
    quietly(place, ACTIVE)
    place.execute("VACUUM ANALYZE users, activities")
    with _worker(place, port, "default", max(SLOTS)) as worker:
        place.execute(DEFER_WEEKLY)
        _await_sent(place, WEEKLY // 10)
        early = _peak_memory(worker)
        _await_sent(place, WEEKLY)
        late, used = _peak_memory(worker), cpu_seconds([worker.pid]) / WEEKLY * 1e6
    rate = WEEKLY / float(str(place.one(SPAN)))
    note = f"{WEEKLY:,} mails by one worker; {used:.0f} µs of its CPU a mail"
    yield Result("mail.weekly_vs_smtplib", rate, "mails/s", alone, True, note)
    note = "its peak at the end; against that after a tenth and 10 MB more"
    yield Result("mail.weekly_memory", late, "MB", early + 10, False, note)


@contextmanager
def _worker(place: Place, port: int, queue: str, slots: int) -> Iterator["subprocess.Popen[bytes]"]:
    with tempfile.TemporaryDirectory(prefix="activelog-bench-") as folder:
        env = dict(os.environ) | {
            "ACTIVELOG_DATABASE_URL": place.url,
            "ACTIVELOG_SECRET": SECRET,
            "ACTIVELOG_STORAGE_URL": Path(folder).as_uri(),
            "ACTIVELOG_SMTP_URL": f"smtp://127.0.0.1:{port}",
            "ACTIVELOG_WEEKLY_SPREAD_MINUTES": "0",
            "PROCRASTINATE_APP": "activelog.jobs.app",
        }
        worker = subprocess.Popen(
            [PYTHON, "-m", "procrastinate", "--log-level", "warning", "worker",
             "--queues", queue, "--concurrency", str(slots)],
            env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while place.one("SELECT count(*) FROM procrastinate_workers") == 0:
                time.sleep(0.05)
            time.sleep(1)
            yield worker
        finally:
            worker.kill()
            worker.wait()
            place.execute("DELETE FROM procrastinate_workers")


def _await_sent(place: Place, mails: int) -> None:
    with psycopg.connect(place.url, autocommit=True) as conn:
        while True:
            row = conn.execute(SENT).fetchone()
            assert row is not None
            if (row[0] or 0) >= mails:
                return
            time.sleep(0.1)


def _peak_memory(process: "subprocess.Popen[bytes]") -> float:
    """MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


# The sink


class _Sink(asyncio.Protocol):
    """Takes every mail; as fast as Python can, so that it is not what is measured."""

    def __init__(self, away: float) -> None:
        self.away, self.rest, self.in_data, self.in_chunk = away, b"", False, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._say(b"220 sink\r\n")

    def _say(self, answer: bytes) -> None:
        if self.away:
            asyncio.get_running_loop().call_later(self.away, self.transport.write, answer)
        else:
            self.transport.write(answer)

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while self.rest:
            if self.in_chunk:
                if len(self.rest) < self.in_chunk:
                    return
                self.rest, self.in_chunk = self.rest[self.in_chunk :], 0
                self._say(b"250 kept\r\n")
                continue
            if self.in_data:
                _, found, rest = self.rest.partition(b"\r\n.\r\n")
                if not found:
                    return
                self.rest, self.in_data = rest, False
                self._say(b"250 kept\r\n")
                continue
            line, found, rest = self.rest.partition(b"\r\n")
            if not found:
                return
            self.rest = rest
            if line.startswith(b"BDAT"):
                self.in_chunk = int(line.split()[1])
            else:
                self._answer(line[:4].upper())

    def _answer(self, verb: bytes) -> None:
        if verb == b"EHLO":
            self._say(b"250-sink\r\n250-PIPELINING\r\n250 CHUNKING\r\n")
        elif verb == b"DATA":
            self.in_data = True
            self._say(b"354 go on\r\n")
        elif verb == b"QUIT":
            self._say(b"221 bye\r\n")
            self.transport.close()
        else:
            self._say(b"250 ok\r\n")


async def _serve(away: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Sink(away), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def _sink(away: float = 0) -> Iterator[int]:
    """Its port. Each answer comes so many seconds later."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.mail", str(away)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
