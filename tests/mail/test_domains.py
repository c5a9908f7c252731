"""A domain that takes only so much slows its own mails down, and no others."""

from dataclasses import replace
from itertools import pairwise

import pytest

from activelog.base.settings import Settings
from activelog.mail.relay import MailDelayed, _sorted_out
from activelog.mail.smtp import Answer, Refused
from tests.conftest import World, running
from tests.mail.test_smtp import Sink, sink

THROTTLED = "421 4.7.28 Our system has detected an unusual rate of mail"


async def weekly(world: World, domain: str, count: int) -> None:
    """Mails to active people of a domain, and their jobs."""
    await world.rows(
        "WITH people AS (INSERT INTO users (email, name, password_hash, verified_at)"
        " SELECT 'p' || n || '@' || %s, 'x', 'none', now() FROM generate_series(1, %s) n"
        " RETURNING id), done AS (INSERT INTO activities (user_id, activity_type, duration_minutes,"
        " distance_km, activity_date) SELECT id, 'run', 30, 5, '2024-01-10' FROM people)"
        " SELECT procrastinate_defer_jobs_v1(array_agg(ROW('default',"
        " 'activelog.summaries.weekly_mail', 0, NULL, NULL,"
        " jsonb_build_object('user_id', id, 'dedup_key', '2024-01-14'), NULL)"
        "::procrastinate_job_to_defer_v1)) FROM people",
        domain, count,
    )  # fmt: skip


def heard(server: Sink, domain: str) -> int:
    return sum(envelope.rcpt_tos[0].endswith(domain) for envelope in server.mails)


async def started(world: World) -> int:
    return int(
        await world.value("SELECT count(*) FROM procrastinate_events WHERE type = 'started'")
    )


async def started_after_more_work(world: World) -> int:
    await world.work()
    return await started(world)


async def test_a_slow_domain_waits_alone_and_recovers(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        server.answers["RCPT"] = THROTTLED
        await weekly(world, "slow.example", 5)
        await world.work()
        [(seconds,)] = await world.rows("SELECT seconds FROM mail_domains")
        assert seconds <= 4, "five that hear it at once do not count five times"
        server.answers.clear()
        await weekly(world, "other.example", 5)
        await world.register("new@slow.example")
        await world.rows(
            "UPDATE mail_domains SET seconds = 100, next_at = now() + interval '1 hour'"
        )
        await world.make_due()
        await world.work()
        assert heard(server, "other.example") == 5
        assert heard(server, "slow.example") == 2, "the mails of a registration go at once"
        turns = await world.rows(
            "SELECT round(extract(epoch FROM domain_turn_at - min(domain_turn_at) OVER ()))"
            " FROM mails WHERE domain_turn_at IS NOT NULL ORDER BY 1"
        )
        gaps = [int(later - after) for (after,), (later,) in pairwise(turns)]
        # (Either mail of the registration that is taken meanwhile makes it a fifth faster.)
        assert len(gaps) == 4
        assert all(64 <= gap <= 100 for gap in gaps), "one by one"
        assert await started(world) == await started_after_more_work(world), "none runs for nothing"
        await world.rows("UPDATE mails SET domain_turn_at = now() WHERE domain_turn_at IS NOT NULL")
        await world.make_due()
        await world.work()
        assert heard(server, "slow.example") == 7
        assert await world.value("SELECT seconds FROM mail_domains") == pytest.approx(
            100 * 0.8**5, rel=0.6
        )


@pytest.mark.parametrize(
    ("code", "text", "is_throttled"),
    [
        (421, "4.7.28 unusual rate", True),
        (451, "4.7.500 Server busy. Please try again later", True),
        (421, "Too many concurrent connections", True),
        (450, "4.2.0 greylisted", False),
        (452, "4.2.2 mailbox full", False),
        (451, "4.3.0 local error", False),
    ],
)
def test_what_is_said_of_a_rate_is_known(code: int, text: str, is_throttled: bool) -> None:
    error = _sorted_out(Refused("RCPT", Answer(code, text.encode())))
    assert isinstance(error, MailDelayed)
    assert error.is_throttled == is_throttled
