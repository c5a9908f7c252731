"""Mails that come back: reports of many machines, by their return path or by what they quote."""

import mailbox
import subprocess
import sys
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest

from activelog.base.errors import CommandError
from activelog.base.settings import Settings
from activelog.mail.bounces import read, return_path, take_bounce
from activelog.operations.bounces import Maildir, take_all
from tests.conftest import World, running
from tests.mail.test_smtp import sink

SECRET, BOUNCES = "a secret of thirty-two characters", "bounces@example.com"


def report(
    status: str,
    diagnostic: str = "",
    action: str = "failed",
    to: str = "",
    quoted: str = "",
    to_people: str = "",
) -> bytes:
    """As RFC 3464 has it."""
    return f"""Return-Path: <>
From: MAILER-DAEMON@mx.example.net
To: {to or "bounces@example.com"}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="x"

--x
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.

  ada@example.org
    {to_people}

--x
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; ada@example.org
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {diagnostic}

--x
Content-Type: text/rfc822-headers

Subject: Your week
Message-ID: {quoted}

--x--
""".replace("\n", "\r\n").encode()


def text(body: str, subject: str = "failure notice", **headers: str) -> bytes:
    message = EmailMessage()
    message["From"] = "MAILER-DAEMON@mx.example.net"
    message["Subject"] = subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(body)
    return bytes(message)


COMPLAINT = b"""From: fbl@provider.example
To: bounces@example.com
Subject: FW: Your week
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="y"

--y
Content-Type: text/plain

This is an email abuse report.

--y
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1

--y
Content-Type: message/rfc822

From: hello@example.com
Message-ID: <1@example.com>
Subject: Your week

Hi
--y--
"""

SAID = {
    "postfix, no such user": (report("5.1.1", "550 5.1.1 <ada@example.org>: Recipient address"
                                     " rejected: User unknown"), "hard"),
    "exim, a plain status": (report("5.0.0", "550 No Such User Here"), "hard"),
    "exim, to people alone": (report("5.0.0", to_people="550 5.1.1 no such mailbox"), "hard"),
    "exim, full": (report("5.0.0", to_people="mailbox is full"), "full"),
    "exchange": (report("5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound"), "hard"),
    "gmail": (report("5.1.1", "550-5.1.1 The email account that you tried to reach does not"
                     " exist."), "hard"),
    "disabled": (report("5.2.1", "550 5.2.1 The email account is disabled."), "hard"),
    "full": (report("5.2.2", "552 5.2.2 The email account is over quota."), "full"),
    "full for now": (report("4.2.2", "452 4.2.2 mailbox full"), "full"),
    "policy": (report("5.7.1", "554 5.7.1 Message rejected: spam content"), "refused"),
    "DMARC": (report("5.7.26", "550 5.7.26 Unauthenticated email is not accepted"), "refused"),
    "relaying": (report("5.0.0", "550 relay not permitted"), "soft"),
    "delayed": (report("4.4.1", "connect timed out", action="delayed"), "soft"),
    "expired": (report("4.4.7", "delivery time expired"), "soft"),
    "delivered": (report("2.0.0", "250 ok", action="delivered"), "reply"),
    "qmail": (text("Hi. This is the qmail-send program at mx.\n<ada@example.org>:\n"
                   "Sorry, no mailbox here by that name. (#5.1.1)\n"), "hard"),
    "old exim": (text("A message that you sent could not be delivered:\n\n  ada@example.org\n"
                      "    Unrouteable address\n", "Mail delivery failed"), "hard"),
    "a code alone": (text("<ada@example.org>: host mx said: 550 user unknown\n"), "hard"),
    "full in words": (text("The user's mailbox is full.\n", "Returned mail"), "full"),
    "delayed in words": (text("It will be retried.\n", "Warning: message delayed"), "soft"),
    "out of office": (text("I am away.", "Out of office", Auto_Submitted="auto-replied"), "reply"),
    "abwesend": (text("Ich bin im Urlaub.", "Abwesenheitsnotiz: Hi"), "reply"),
    "a person": (text("Who are you?", "Re: Your week", Return_Path="<ada@example.org>"), "reply"),
    "complaint": (COMPLAINT, "complaint"),
    "not spam": (COMPLAINT.replace(b"abuse\n", b"not-spam\n"), "reply"),
    "nothing": (b"", "reply"),
    "no mail": (b"\xff\xfe\0 nonsense", "reply"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_comes_back_is_told_apart(name: str) -> None:
    data, kind = SAID[name]
    found = read(data, SECRET, BOUNCES)
    assert found.kind == kind
    assert "@" not in found.said


def test_a_return_path_is_of_one_mail_and_cannot_be_made_up() -> None:
    path = return_path(SECRET, BOUNCES, 7)
    assert path.startswith("bounces+7-")
    for to in (path, path.upper(), f"<{path}>", f"Bounces <{path}>"):
        assert read(report("5.1.1", to=to), SECRET, BOUNCES).mail_id == 7
    for to in (path.replace("+7-", "+8-"), "bounces+7-aaaa@example.com", "bounces@example.com"):
        assert read(report("5.1.1", to=to), SECRET, BOUNCES).mail_id is None
    quoted = read(report("5.1.1", quoted="<1@example.com>"), SECRET, BOUNCES)
    assert quoted.message_id == "<1@example.com>"
    assert read(COMPLAINT, SECRET, BOUNCES).message_id == "<1@example.com>"


@pytest.fixture
def with_bounces(settings: Settings) -> Settings:
    return replace(settings, bounces=BOUNCES)


async def sent_mail(world: World) -> int:
    """The weekly mail of a person who was active."""
    ada = await world.user()
    await world.rows(
        "INSERT INTO mails (kind, user_id, dedup_key, message_id, state, finished_at)"
        " VALUES ('weekly_summary', %s, 'x', '<1@example.com>', 'sent', now())", ada.id,
    )  # fmt: skip
    return int(await world.value("SELECT id FROM mails"))


async def take(world: World, data: bytes) -> str:
    async with world.pool.connection() as conn:
        return await take_bounce(conn, world.settings, data)


async def test_each_mail_leaves_with_a_return_path_of_its_own(with_bounces: Settings) -> None:
    async with (
        sink() as (server, smtp),
        running(replace(with_bounces, mail=smtp)) as world,
    ):
        await world.register("ada@example.com")
        await world.work()
        senders = {str(envelope.mail_from) for envelope in server.mails}
    assert len(senders) == 2
    assert all(sender.startswith("bounces+") for sender in senders)


async def test_a_dead_mailbox_gets_no_more_mails(with_bounces: Settings) -> None:
    async with running(with_bounces) as world:
        mail_id = await sent_mail(world)
        path = return_path(world.settings.secret, BOUNCES, mail_id)
        for status in ("4.4.1", "5.1.1", "4.4.1"):
            said = await take(world, report(status, f"said of ada@example.org {status}", to=path))
            assert said.endswith(f"mail {mail_id} (weekly_summary)")
        assert await world.rows("SELECT bounce, bounce_said FROM mails") == [
            ("hard", "said of (…) 5.1.1")
        ]
        assert await world.value("SELECT count(*) FROM suppressed_addresses") == 1


async def test_a_full_or_refusing_mailbox_stays_in_use(with_bounces: Settings) -> None:
    async with running(with_bounces) as world:
        await sent_mail(world)
        for status in ("5.2.2", "5.7.1", "4.2.1"):
            await take(world, report(status, quoted="<1@example.com>"))
        assert await world.value("SELECT count(*) FROM suppressed_addresses") == 0


async def test_a_complaint_unsubscribes_from_its_list(with_bounces: Settings) -> None:
    async with running(with_bounces) as world:
        await sent_mail(world)
        for _ in range(2):
            assert (await take(world, COMPLAINT)).startswith("complaint: mail")
        rows = await world.rows("SELECT list, wanted FROM mail_preferences")
        assert rows == [("weekly_summary", False)]


async def test_bounces_of_others_change_nothing(with_bounces: Settings) -> None:
    async with running(with_bounces) as world:
        await sent_mail(world)
        said = await take(world, report("5.1.1", quoted="<another@example.com>"))
        assert said == "hard, of no mail of ours"
        assert await world.value("SELECT count(*) FROM suppressed_addresses") == 0
        assert await world.value("SELECT bounce FROM mails") is None


async def test_a_maildir_is_read_once(with_bounces: Settings, tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "box")
    for data in (report("5.1.1", quoted="<1@example.com>"), COMPLAINT, SAID["out of office"][0]):
        box.add(data)
    where = f"maildir:{tmp_path / 'box'}"
    async with running(replace(with_bounces, bounces_mailbox=where)) as world:
        await sent_mail(world)
        assert "*/5 * * * *" in [
            schedule.cron for schedule in world.jobs.periodic_registry.periodic_tasks.values()
        ]
        for _ in range(2):
            await world.rows(
                "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('low', 'activelog.mails.bounces', 0,"
                " NULL, NULL, '{}', NULL)::procrastinate_job_to_defer_v1])"
            )
            await world.work()
        counts = await world.rows("SELECT counts FROM schedule_runs ORDER BY id")
    assert counts == [({"hard": 1, "complaint": 1, "no bounce": 1},), ({},)]


@pytest.mark.parametrize("header", [b"From: =?utf-8?q?=@", b'To: ,"', b"Message-ID: <x\0@y>"])
async def test_a_message_that_cannot_be_read_keeps_no_other_one_from_being_read(
    with_bounces: Settings, tmp_path: Path, header: bytes
) -> None:
    box = mailbox.Maildir(tmp_path / "box")
    box.add(header + b"\nSubject: hello\n\nhello\n")
    box.add(report("5.1.1", quoted="<1@example.com>"))
    async with running(with_bounces) as world:
        await sent_mail(world)
        said = await take_all(world.pool, with_bounces, Maildir(tmp_path / "box"))
        assert sum(one.startswith("hard") for one in said) == 1
        assert len(said) == 2
        assert await take_all(world.pool, with_bounces, Maildir(tmp_path / "box")) == []


async def test_a_maildir_is_whole_and_a_folder_in_it_is_no_message(
    with_bounces: Settings, tmp_path: Path
) -> None:
    (tmp_path / "box" / "new").mkdir(parents=True)
    with pytest.raises(CommandError, match="new and cur"):
        Maildir(tmp_path / "box")
    (tmp_path / "box" / "cur").mkdir()
    (tmp_path / "box" / "new" / "a folder").mkdir()
    (tmp_path / "box" / "new" / "b").write_bytes(report("5.1.1"))
    async with running(with_bounces) as world:
        said = await take_all(world.pool, with_bounces, Maildir(tmp_path / "box"))
    assert said == ["hard, of no mail of ours"]


def test_the_command_reads_standard_input(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "activelog", "bounces"],
        input=report("5.1.1"), capture_output=True, env=environment, check=True,
    )  # fmt: skip
    assert done.stdout == b"hard, of no mail of ours\n"
