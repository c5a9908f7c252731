"""`python -m tests.chaos.mail_hour [--mails N] [--minutes M]`: the weekly mails of a Sunday, spread
over an hour, through a relay that refuses 2 % of the addresses, puts off 5 % of the mails and drops
1 % of the connections, half of them after it took the mail. In the end each mail has one end."""

import argparse
import asyncio
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from tests.bench.data import quietly
from tests.bench.http import SECRET
from tests.bench.mail import ACTIVE, DEFER_WEEKLY, USERS
from tests.bench.measure import Place, places
from tests.processes import worker as running_worker

REFUSED, PUT_OFF, DROPPED = 0.02, 0.05, 0.01
WORKERS, SLOTS = 2, 16
_TO = re.compile(rb"^RCPT TO:<([^>]+)>", re.IGNORECASE)
_MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[^>]+>)", re.IGNORECASE | re.MULTILINE)

TABLE = """
SELECT state, coalesce(substring(answer FROM '^[0-9]{3} ?[A-Za-z ]*'), '') AS answer, count(*),
       max(attempts)
FROM mails WHERE kind = 'weekly_summary' GROUP BY 1, 2 ORDER BY 3 DESC"""
ROWS = """
SELECT m.message_id, m.state, lower(u.email), coalesce(m.answer, '')
FROM mails m JOIN users u ON u.id = m.user_id
WHERE m.kind = 'weekly_summary'"""
WITHOUT_END = """
SELECT count(*) FROM mails WHERE kind = 'weekly_summary' AND state IN ('queued', 'sending')"""


@dataclass
class Relay:
    """What it took and what it said, by the count. It is the other side's record."""

    random: Random = field(default_factory=lambda: Random(1))
    taken: Counter[str] = field(default_factory=Counter)  # Message-IDs, answered
    taken_unanswered: Counter[str] = field(default_factory=Counter)
    refused: set[str] = field(default_factory=set)  # addresses
    said: Counter[str] = field(default_factory=Counter)

    def refuses(self, address: str) -> bool:
        return Random(address).random() < REFUSED


class _Session(asyncio.Protocol):
    def __init__(self, relay: Relay) -> None:
        self.relay, self.rest, self.in_data, self.fate = relay, b"", False, "taken"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 relay\r\n")

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while self.rest and not self.transport.is_closing():
            end = b"\r\n.\r\n" if self.in_data else b"\r\n"
            taken, found, rest = self.rest.partition(end)
            if not found:
                return
            self.rest = rest
            self._take_mail(taken) if self.in_data else self._answer(taken)

    def _answer(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"EHLO":
            self._say("250-relay\r\n250 PIPELINING")
        elif verb == b"RCPT" and (to := _TO.match(line)):
            self._answer_recipient(to[1].decode())
        elif verb == b"DATA":
            self.in_data = self.fate != "refused"
            self._say("354 go on" if self.in_data else "503 5.5.1 no recipient")
        elif verb == b"QUIT":
            self.transport.close()
        else:
            self.fate = "taken"
            self._say("250 ok")

    def _answer_recipient(self, address: str) -> None:
        chance = self.relay.random.random()
        if self.relay.refuses(address):
            self.fate = "refused"
            self.relay.refused.add(address)
            self._say("550 5.1.1 no such mailbox", "refused")
        elif chance < PUT_OFF:
            self.fate = "refused"
            self._say("451 4.2.0 greylisted", "put off")
        else:
            self.fate = "dropped" if chance < PUT_OFF + DROPPED else "taken"
            self._say("250 ok")

    def _take_mail(self, data: bytes) -> None:
        self.in_data = False
        found = _MESSAGE_ID.search(data)
        message_id = found[1].decode() if found else "none"
        if self.fate == "taken":
            self.relay.taken[message_id] += 1
            self._say("250 2.0.0 kept", "taken")
            return
        is_kept = self.relay.random.random() < 0.5
        if is_kept:
            self.relay.taken_unanswered[message_id] += 1
        self.relay.said["dropped, kept" if is_kept else "dropped, lost"] += 1
        self.transport.abort()

    def _say(self, answer: str, counted: str = "") -> None:
        if counted:
            self.relay.said[counted] += 1
        self.transport.write(f"{answer}\r\n".encode())


@contextmanager
def _running_relay() -> Iterator[tuple[Relay, int]]:
    """And its port."""
    relay, loop = Relay(), asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: _Session(relay), "127.0.0.1", 0))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    try:
        yield relay, server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.chaos.mail_hour", description=__doc__)
    parser.add_argument("--mails", type=int, default=100_000)
    parser.add_argument("--minutes", type=int, default=60)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        ours, _ = stack.enter_context(places())
        relay, port = stack.enter_context(_running_relay())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="activelog-hour-")))
        quietly(ours, USERS, arguments.mails)
        quietly(ours, ACTIVE)
        env = {
            "ACTIVELOG_DATABASE_URL": ours.url,
            "ACTIVELOG_SECRET": SECRET,
            "ACTIVELOG_STORAGE_URL": folder.as_uri(),
            "ACTIVELOG_SMTP_URL": f"smtp://127.0.0.1:{port}",
            "ACTIVELOG_WEEKLY_SPREAD_MINUTES": f"{arguments.minutes}",
            "PROCRASTINATE_APP": "activelog.jobs.app",
        }
        for number in range(WORKERS):
            log = folder / f"worker-{number}"
            options = ("--queues", "default", "--concurrency", str(SLOTS))
            stack.enter_context(running_worker(env, *options, log=log))
        began = time.monotonic()
        ours.execute(DEFER_WEEKLY)
        _await_ends(ours, arguments.mails)
        _report(ours, relay, arguments.mails, time.monotonic() - began)


def _await_ends(place: Place, mails: int) -> None:
    count = "SELECT count(*) FROM mails WHERE kind = 'weekly_summary'"
    while place.one(count) != mails or place.one(WITHOUT_END):
        print(f"{place.one(WITHOUT_END)} mails have no end yet", file=sys.stderr, flush=True)
        time.sleep(20)


def _report(place: Place, relay: Relay, mails: int, seconds: float) -> None:
    print(f"{mails:,} mails in {seconds / 60:.1f} minutes, {WORKERS} workers with {SLOTS} slots")
    print("| the relay said | times |\n|---|---|")
    for said, times in relay.said.most_common():
        print(f"| {said} | {times:,} |")
    print("\n| end of the mail | answer | mails | tries at most |\n|---|---|---|---|")
    for state, answer, count, attempts in _rows(place, TABLE):
        print(f"| {state} | {answer} | {count:,} | {attempts} |")
    wrong = dict(_mistakes(place, relay, mails))
    print("\n" + "\n".join(f"{count:6,} {what}" for what, count in wrong.items()))
    sys.exit(
        any(count for what, count in wrong.items() if what != "twice, the relay had kept silent")
    )


def _mistakes(place: Place, relay: Relay, mails: int) -> Iterator[tuple[str, int]]:
    rows = _rows(place, ROWS)
    sent = {message_id for message_id, state, _, _ in rows if state == "sent"}
    failed = {address for _, state, address, said in rows if state == "failed" and said[:1] == "5"}
    arrived = relay.taken + relay.taken_unanswered
    yield "mails are missing", mails - len(rows)
    yield "people have two rows", len(rows) - len({address for _, _, address, _ in rows})
    yield "were sent and did not arrive", len(sent - set(arrived))
    yield "arrived and are not said to be sent", len(set(arrived) - sent)
    yield "failed and were not refused", len(failed - relay.refused)
    yield "were refused and are not said to have failed", len(relay.refused - failed)
    twice = {message_id for message_id, times in arrived.items() if times > 1}
    yield "twice, the relay had kept silent", len(twice & set(relay.taken_unanswered))
    yield "twice, for nothing", len(twice - set(relay.taken_unanswered))


def _rows(place: Place, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(place.url) as conn:
        return conn.execute(statement.encode()).fetchall()


if __name__ == "__main__":
    main()
