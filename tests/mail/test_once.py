"""One mail for (user, kind, deduplication key), whoever else wants to send it; and nothing that it
was to tell gets lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from activelog import database
from activelog.accounts.mails import WELCOME
from activelog.base.settings import Settings
from activelog.exports.mails import PAUSE, READY
from activelog.friends import mails, routes
from activelog.friends import queries as friends
from activelog.mail import queries
from activelog.mail.model import MailWanted, Outcome
from tests.conftest import World, full_once, running
from tests.friends.test_friends import ask
from tests.mail.test_smtp import ADA, run_due, sink


async def test_two_jobs_that_send_one_mail_at_once_send_it_once(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        ada = await world.user(ADA)
        for _ in range(5):
            await world.jobs_defer("activelog.accounts.welcome", user_id=ada.id)
        await world.work()
        assert len(server.mails) == 1
        assert await world.rows("SELECT state, attempts FROM mails") == [("sent", 1)]


@asynccontextmanager
async def a_mail_that_is_not_noted_at_once(settings: Settings) -> AsyncIterator[World]:
    """It waits for a worker; in the end it has left once, whatever happened to its note."""
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        await world.rows(full_once("mails", "NEW.state = 'sent'"))
        ada = await world.user(ADA)
        await world.jobs_defer("activelog.accounts.welcome", user_id=ada.id)
        yield world
        await run_due(world)
        assert await world.rows("SELECT state, attempts FROM mails") == [("sent", 1)]
        assert len(server.mails) == 1


async def test_a_mail_that_the_relay_took_leaves_once_though_postgres_failed_to_note_it(
    settings: Settings,
) -> None:
    async with a_mail_that_is_not_noted_at_once(settings) as world:
        await run_due(world)


async def test_a_mail_that_the_relay_took_leaves_once_though_its_worker_ends(
    settings: Settings,
) -> None:
    async with a_mail_that_is_not_noted_at_once(settings) as world, world.jobs.open_async():
        working = asyncio.create_task(
            world.jobs.run_worker_async(
                wait=False, install_signal_handlers=False, shutdown_graceful_timeout=0
            )
        )
        await world.until("SELECT is_called FROM tries")
        working.cancel()
        await asyncio.wait([working])


async def test_an_owner_is_told_once_a_day_that_somebody_registered_again(
    settings: Settings,
) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        await world.user(ADA)
        for _ in range(3):
            assert (await world.register(ADA)).status_code == 202
        await world.work()
        assert len(server.mails) == 1


async def test_a_mail_whose_job_died_is_sent_by_another(world: World) -> None:
    ada = await world.user()
    job = await world.jobs_defer("activelog.accounts.welcome", user_id=ada.id)
    await world.rows(
        "INSERT INTO mails (kind, user_id, dedup_key, message_id, state, job_id)"
        " VALUES ('welcome', %s, '', '<1@x.test>', 'sending', %s)",
        ada.id,
        job,
    )
    await world.rows("UPDATE procrastinate_jobs SET status = 'failed'")
    await world.jobs_defer("activelog.accounts.welcome", user_id=ada.id)
    await world.work()
    [mail] = world.mails(ada.address)
    assert mail["Message-ID"] == "<1@x.test>"


async def test_a_mail_that_another_process_is_sending_is_not_sent_beside_it(world: World) -> None:
    ada = await world.user()
    job = await world.jobs_defer("activelog.accounts.welcome", user_id=ada.id)
    await world.rows(
        "WITH worker AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id)"
        " UPDATE procrastinate_jobs SET status = 'doing', worker_id = worker.id FROM worker"
    )
    await world.rows(
        "INSERT INTO mails (kind, user_id, dedup_key, message_id, state, job_id)"
        " VALUES ('welcome', %s, '', '<1@x.test>', 'sending', %s)",
        ada.id,
        job,
    )
    await world.jobs_defer("activelog.accounts.welcome", user_id=ada.id)
    await world.work()
    assert world.mails(ada.address) == []
    assert await world.rows("SELECT state, job_id FROM mails") == [("sending", job)]


async def test_a_mail_whose_other_job_began_behind_the_snapshot_is_not_taken_from_it(
    world: World,
) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    jobs = [await world.jobs_defer("activelog.accounts.welcome", user_id=bob.id) for _ in range(2)]
    for number, user in enumerate((ada, bob)):
        await world.rows(
            "INSERT INTO mails (kind, user_id, dedup_key, message_id)"
            " VALUES ('welcome', %s, '', '<' || %s || '@x.test>')", user.id, number)  # fmt: skip
    wanted = [MailWanted(WELCOME, user.id, "", jobs[1], "<2@x.test>") for user in (ada, bob)]
    async with world.pool.connection() as late, database.transaction(world.pool) as conn:
        await conn.execute("SELECT FROM mails WHERE user_id = %s FOR UPDATE", [ada.id])
        claiming = asyncio.create_task(queries.claim(late, wanted))
        await world.until("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        await world.rows("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %s", jobs[0])
        await world.rows(
            "UPDATE mails SET state = 'sending', job_id = %s, claimed_at = now()"
            " WHERE user_id = %s", jobs[0], bob.id)  # fmt: skip
    ours, anothers = await claiming
    assert ours is not None
    assert anothers is None


async def test_a_mail_that_was_sent_meanwhile_is_not_put_back(world: World) -> None:
    ada = await world.user()
    await world.jobs_defer("activelog.accounts.welcome", user_id=ada.id)
    await world.work()
    async with world.pool.connection() as conn:
        await queries.unclaim(conn, await world.value("SELECT id FROM mails"))
    assert await world.rows("SELECT state, attempts FROM mails") == [("sent", 1)]


async def test_a_run_that_was_thought_dead_takes_no_later_one_back(world: World) -> None:
    ada = await world.user()
    await world.jobs_defer("activelog.accounts.welcome", user_id=ada.id)
    await world.work()
    await world.rows("UPDATE mails SET state = 'sending', attempts = 2")
    async with world.pool.connection() as conn:
        await queries.unclaim(conn, await world.value("SELECT id FROM mails"), 1)
        assert await world.rows("SELECT state, attempts FROM mails") == [("sending", 2)]
        await queries.unclaim(conn, await world.value("SELECT id FROM mails"), 2)
        assert await world.rows("SELECT state, attempts FROM mails") == [("queued", 1)]


async def test_a_request_that_comes_while_its_mail_goes_out_is_told_of(world: World) -> None:
    ada, eve, bob = [await world.user(f"{name}@example.com") for name in ("ada", "eve", "bob")]
    await ask(ada, bob.address)
    await world.make_due()
    async with database.transaction(world.pool) as conn:
        asked = await friends.request(conn, eve.id, bob.address)
        assert asked is not None
        await world.services.outbox.write_digests(
            conn, mails.REQUEST, [asked.to_id], str(asked.id), routes.DIGEST_DELAY
        )
        sending = asyncio.create_task(world.work())
        await asyncio.wait([sending], timeout=1)
        assert not sending.done(), "the mail waits for what it is to tell"
    await sending
    [mail] = world.mails(bob.address)
    assert mail["Subject"] == "2 friend requests, from Ada and others"


async def test_what_a_mail_failed_to_tell_the_next_one_tells(settings: Settings) -> None:
    async with sink() as (server, smtp), running(replace(settings, mail=smtp)) as world:
        ada, bob = await world.user(ADA), await world.user("bob@x.test")
        server.answers["DATA"] = "554 5.7.1 we do not like this mail"
        await ask(ada, bob.address)
        await run_due(world)
        assert await world.value("SELECT state FROM mails") == "failed"
        server.answers.clear()
        eve = await world.user("eve@x.test")
        await ask(eve, bob.address)
        await run_due(world)
        [envelope] = server.mails
        assert isinstance(envelope.content, bytes)
        assert b"Subject: 2 friend requests" in envelope.content


async def test_a_mail_is_gathered_into_one_that_waits_and_is_not_old(world: World) -> None:
    ada = await world.user()

    async def write(key: str) -> bool:
        async with database.transaction(world.pool) as conn:
            return await world.services.outbox.write_gathered(conn, READY, ada.id, key, PAUSE)

    assert await write("1")
    assert not await write("2")
    await world.rows("UPDATE mails SET state = 'sent', finished_at = now()")
    assert await write("3"), "nothing waits"
    later = "SELECT max(scheduled_at) > now() + %s - interval '1 minute' FROM procrastinate_jobs"
    assert await world.value(later, PAUSE)
    assert not await write("4")
    await world.rows("UPDATE mails SET created_at = now() - interval '2 days'")
    assert await write("5"), "the one that waits may have lost its job"


async def test_how_a_mail_ended_is_not_written_over(world: World) -> None:
    ada = await world.user()
    await world.jobs_defer("activelog.accounts.welcome", user_id=ada.id)
    await world.work()
    mail_id = await world.value("SELECT id FROM mails")
    async with world.pool.connection() as conn:
        await queries.finish(conn, [Outcome(mail_id, "queued", "of a run that was thought dead")])
    assert await world.value("SELECT state FROM mails") == "sent"


async def test_what_a_run_says_late_is_of_no_later_run(world: World) -> None:
    ada = await world.user()
    job = await world.jobs_defer("activelog.accounts.welcome", user_id=ada.id)
    wanted = [MailWanted(WELCOME, ada.id, "", job, "<1@x.test>")]
    async with world.pool.connection() as conn:
        [first] = await queries.claim(conn, wanted)
        [second] = await queries.claim(conn, wanted)
        assert first is not None
        assert second is not None
        late = Outcome(first.id, "queued", "late", attempts=first.attempts)
        await queries.finish(conn, [late])
        assert await world.value("SELECT state FROM mails") == "sending"
        await queries.finish(conn, [Outcome(second.id, "sent", "250", attempts=second.attempts)])
    assert await world.value("SELECT state FROM mails") == "sent"


async def test_a_mail_with_nothing_to_tell_has_an_end(world: World) -> None:
    ada = await world.user()
    await world.jobs_defer("activelog.friends.request", user_id=ada.id, dedup_key="1")
    await world.work()
    assert await world.rows("SELECT state, answer FROM mails") == [("skipped", "nothing to tell")]


async def test_a_cap_counts_mails_of_its_kind_that_were_sent(world: World) -> None:
    ada, bob = await world.user(), await world.user("bob@example.com")
    add = (
        "INSERT INTO mails (kind, user_id, dedup_key, message_id, state)"
        " SELECT %s, %s, %s::text || n, '<' || n || '@x.test>', %s"
        " FROM generate_series(1, 50) AS n"
    )
    await world.rows(add, "welcome", bob.id, "a", "sent")
    await world.rows(add, "friend_request", bob.id, "b", "skipped")
    await world.rows(add, "friend_request", ada.id, "c", "sent")
    await ask(ada, bob.address)
    await run_due(world)
    assert len(world.mails(bob.address)) == 1
    await world.rows(add, "friend_request", bob.id, "d", "sent")
    eve = await world.user("eve@example.com")
    await ask(eve, bob.address)
    await run_due(world)
    assert len(world.mails(bob.address)) == 1
    assert await world.value("SELECT answer FROM mails WHERE answer LIKE 'enough%%'")
