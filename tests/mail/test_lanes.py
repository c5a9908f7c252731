"""Turns under a rate limit, and addresses that get no mails."""

import asyncio
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from activelog.base.settings import Settings
from activelog.database import Conn
from activelog.mail import queries
from activelog.mail.relay import _sorted_out
from activelog.mail.smtp import Answer, Refused
from tests.conftest import World, running

ADA = "ada@example.com"
WAITING = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at > now()"
RUNS_FOR_NOTHING = """
SELECT (SELECT count(*) FROM procrastinate_events WHERE type = 'started')
     - (SELECT count(*) FROM mails WHERE state = 'sent')"""


async def reports(world: World, count: int) -> None:
    """So many weekly mails that are due, of so many people."""
    await world.rows(
        "INSERT INTO users (email, name, password_hash, verified_at)"
        " SELECT n || '@x.test', 'X', 'none', now() FROM generate_series(1, %s) n", count,
    )  # fmt: skip
    await world.rows(
        "INSERT INTO activities (user_id, activity_type, duration_minutes, distance_km,"
        " activity_date) SELECT id, 'run', 30, 5, now() - interval '3 days' FROM users"
    )
    day = world.services.clock().date().isoformat()
    await world.rows(
        "SELECT procrastinate_defer_jobs_v1(array_agg(ROW('low', 'activelog.summaries.weekly_mail',"
        " -1, NULL, NULL, jsonb_build_object('user_id', id, 'dedup_key', %s::text), NULL"
        ")::procrastinate_job_to_defer_v1)) FROM users", day,
    )  # fmt: skip


SENT_BEFORE_THE_LAST_CRITICAL = """
SELECT count(*) FROM mails WHERE kind = 'weekly_summary' AND finished_at < (
    SELECT max(finished_at) FROM mails WHERE kind IN ('welcome', 'verification'))"""


@pytest.mark.slow
async def test_a_critical_mail_leaves_at_once_whatever_waits_in_bulk(settings: Settings) -> None:
    async with running(replace(settings, mails_per_second=2.0)) as world:
        await reports(world, 60)
        await world.work()  # a few leave, the others keep their turns
        assert await world.value(WAITING) > 40
        for_nothing = await world.value(RUNS_FOR_NOTHING)
        await world.register(ADA)
        await world.work()
        assert len(world.mails(ADA)) == 2
        assert await world.value(SENT_BEFORE_THE_LAST_CRITICAL) < 30
        assert await world.value(RUNS_FOR_NOTHING) - for_nothing < 12


async def test_turns_are_as_far_apart_as_the_rate_and_kept(settings: Settings) -> None:
    async with running(replace(settings, mails_per_second=1.0)) as world:
        await reports(world, 5)
        rows = await world.rows(
            "INSERT INTO mails (kind, user_id, dedup_key, message_id)"
            " SELECT 'weekly_summary', id, '2024-01-07', '<x>' FROM users RETURNING id"
        )
        ids = [row[0] for row in rows]
        async with world.pool.connection() as conn:
            turns = [await queries.take_turn(conn, one, "low", 1.0, 0.5) for one in ids]
            again = await queries.take_turn(conn, ids[-1], "low", 1.0, 0.5)
            critical = await queries.take_turn(conn, 0, "critical", 1.0, 2.0)
        gaps = [later - earlier for earlier, later in pairwise(turns[2:])]
        assert all(0.9 < gap < 1.1 for gap in gaps), turns
        assert abs(again - turns[-1]) < 0.2
        assert critical == 0


async def test_the_weekly_mails_are_spread_as_the_rate_wants(settings: Settings) -> None:
    wanted = replace(settings, mails_per_second=0.5, weekly_spread_minutes=0)
    async with running(wanted) as world:
        await reports(world, 10)
        await world.rows("DELETE FROM procrastinate_jobs")
        await world.jobs_defer("activelog.summaries.weekly", timestamp=int(time.time()))
        await world.work()
        due = await world.rows(
            "SELECT extract(epoch FROM scheduled_at - now())::integer FROM procrastinate_jobs"
            " WHERE task_name = 'activelog.summaries.weekly_mail' AND status = 'todo'"
            " ORDER BY scheduled_at"
        )
        assert due[-1][0] >= 15


@pytest.mark.parametrize(
    ("code", "text", "is_final", "is_dead"),
    [
        (552, b"5.2.2 Mailbox full", False, False),
        (552, b"Requested mail action aborted: exceeded storage", False, False),
        (552, b"5.3.4 Message too big", True, False),
        (550, b"5.1.1 No such user", True, True),
        (550, b"relay not permitted", True, False),
        (553, b"sorry (#5.7.1)", True, False),
        (450, b"4.2.2 over quota", False, False),
    ],
)
def test_refusals_are_sorted_out(code: int, text: bytes, is_final: bool, is_dead: bool) -> None:
    error = _sorted_out(Refused("RCPT", Answer(code, text)))
    assert (type(error).__name__ == "MailRefused") == is_final
    assert getattr(error, "dead_mailbox", False) == is_dead


async def test_suppression_ends_and_can_be_lifted(world: World) -> None:
    await world.user(ADA)
    async with world.pool.connection() as conn:
        await queries.suppress(conn, "Ada@Example.com", "550 RCPT: 5.1.1 unknown")
    forgot = {"email": ADA}
    await world.http.post("/api/v1/auth/forgot-password", json=forgot)
    await world.work()
    assert world.mails(ADA) == []
    await world.rows("UPDATE suppressed_addresses SET until = now()")
    await world.http.post("/api/v1/auth/forgot-password", json=forgot)
    await world.work()
    assert len(world.mails(ADA)) == 1


async def test_whoever_registers_again_is_written_to_again(world: World) -> None:
    async with world.pool.connection() as conn:
        await queries.suppress(conn, ADA, "550 RCPT: 5.1.1 unknown")
    await world.register(ADA)
    await world.work()
    assert len(world.mails(ADA)) == 2


async def test_when_most_are_refused_no_address_is_given_up(world: World) -> None:
    ada = await world.user(ADA)
    await world.rows(
        "INSERT INTO mails (kind, user_id, dedup_key, message_id, state, finished_at)"
        " SELECT 'welcome', %s, n::text, '<x>', CASE WHEN n < 8 THEN 'failed' ELSE 'sent' END,"
        " now() FROM generate_series(1, 12) n", ada.id,
    )  # fmt: skip
    async with world.pool.connection() as conn:
        assert await queries.most_are_refused(conn)
    await world.rows("UPDATE mails SET answer = 'TemplateError' WHERE dedup_key > '3'")
    async with world.pool.connection() as conn:
        assert not await queries.most_are_refused(conn), "that is no relay's refusal"
    await world.rows("UPDATE mails SET state = 'sent', answer = NULL WHERE dedup_key > '3'")
    async with world.pool.connection() as conn:
        assert not await queries.most_are_refused(conn)


async def test_mails_that_missed_their_turns_take_new_ones_and_do_not_come_back_together(
    settings: Settings,
) -> None:
    async with running(replace(settings, mails_per_second=5.0)) as world:
        await reports(world, 40)
        rows = await world.rows(
            "INSERT INTO mails (kind, user_id, dedup_key, message_id, turn_at)"
            " SELECT 'weekly_summary', id, '2024-01-07', '<x>', now() - interval '1 hour'"
            " FROM users RETURNING id"
        )
        async with world.pool.connection() as conn:
            turns = [await queries.take_turn(conn, one, "low", 5.0, 0.5) for (one,) in rows]
        waiting = sorted(turn for turn in turns if turn > 0.5)
        assert len(waiting) > 25
        assert waiting[-1] - waiting[0] > 4  # one behind the other


async def test_two_workers_never_take_one_turn(world: World) -> None:
    async def turn(conn: Conn) -> float:
        return await queries.take_turn(conn, 0, "default", 0.1, 0.0)

    async with world.pool.connection() as first, world.pool.connection() as second:
        async with first.transaction():
            taken = [await turn(first)]
            other = asyncio.create_task(turn(second))
            await asyncio.wait([other], timeout=0.5)
            assert not other.done()
        taken.append(await other)
    assert abs(taken[1] - taken[0]) > 5
