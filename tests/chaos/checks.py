"""When all is quiet: the ledger held against the database, the objects and the relay's record."""

import asyncio
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from activelog import database
from activelog.base.settings import Settings
from activelog.queue.rescuer import DEATHS
from activelog.retention import queries as retention
from activelog.services import make_services
from tests.chaos.ledger import Entry, Ledger
from tests.chaos.stand import Stand

WORST_RESIDENT = 400 * 2**20
REACH = 40.0  # seconds after an act in which it may be the cause


@dataclass(frozen=True)
class Found:
    """Of one check: what was held against the ledger, what does not match, and when."""

    name: str
    checked: int
    wrong: list[str]
    note: str = ""
    at: float | None = None


def show(found: list[Found]) -> None:
    for one in found:
        print(f"{'WRONG' if one.wrong else 'ok':6}{one.name:16}{one.checked:7}  {one.note}")
        for text in one.wrong[:10]:
            print(f"        {text}", flush=True)


def _told(entries: list[Entry], *statuses: int) -> list[Entry]:
    return [one for one in entries if one.told and one.told["status"] in statuses]


def activities(stand: Stand, ledger: Ledger) -> Found:
    """Each that was told is there, once; each that was not told, once at most."""
    rows = stand.all("SELECT notes, count(*), min(id) FROM activities GROUP BY notes")
    stored = {str(notes): (int(str(count)), number) for notes, count, number in rows}
    wrong = []
    logged = ledger.of("logged")
    for entry in _told(logged, 201):
        assert entry.told is not None
        notes = entry.asked["notes"]
        if stored.get(notes) != (1, entry.told["id"]):
            wrong.append(f"{notes}: told {entry.told['id']}, stored {stored.get(notes)}")
    wrong += [
        f"{notes} is there {count} times" for notes, (count, _) in stored.items() if count > 1
    ]
    return Found("activities", len(logged), wrong)


def imports(stand: Stand, ledger: Ledger) -> Found:
    """Rows of an import that completed are all there, once; of another one, once at most."""
    rows = stand.all(
        "SELECT split_part(notes, '/', 1), count(*), count(DISTINCT notes) FROM activities"
        " WHERE notes LIKE '%%/%%' GROUP BY 1"
    )
    stored = {str(key): (count, distinct) for key, count, distinct in rows}
    tickets = _tickets(stand)
    wrong, told = [], _told(ledger.of("imported"), 202)
    for entry in told:
        assert entry.told is not None
        notes, count = entry.asked["notes"], entry.asked["count"]
        ticket = tickets.get(entry.told["job_id"])
        found = stored.get(notes, (0, 0))
        if ticket is None:
            wrong.append(f"{notes}: its ticket is gone")
        elif (ticket == "completed" and found != (count, count)) or found[0] != found[1]:
            wrong.append(f"{notes} ({ticket}): {count} rows, stored {found}")
    return Found("imports", len(told), wrong, _by(tickets.get(one.told["job_id"], "gone")
                 for one in told if one.told))  # fmt: skip


def exports(stand: Stand, ledger: Ledger) -> Found:
    """Each ticket has its end, each completed one its file, which holds its owner's rows."""
    tickets = _tickets(stand)
    told = [one for one in _told(ledger.of("exported"), 202) if one.told]
    cancelled = {one.asked["job_id"] for one in _told(ledger.of("cancelled"), 200) if one.told}
    wrong = []
    for entry in told:
        job = str((entry.told or {})["job_id"])
        state = tickets.get(job, "gone")
        if state not in ("completed", "failed", "cancelled"):
            wrong.append(f"{entry.asked['notes']}: {state}")
        if job in cancelled and state != "cancelled":
            wrong.append(f"{entry.asked['notes']}: told that it is cancelled, and is {state}")
    wrong += asyncio.run(_files(stand))
    return Found("exports", len(told), wrong, _by(
        tickets.get((one.told or {})["job_id"], "gone") for one in told))  # fmt: skip


async def _files(stand: Stand) -> list[str]:
    rows = stand.all(
        "SELECT e.object_key, e.format, (t.result->>'file_size')::bigint,"
        " (t.result->>'record_count')::bigint, e.user_id, u.name FROM exports e"
        " JOIN job_tickets t USING (id) JOIN users u ON u.id = e.user_id"
        " WHERE t.completed_at IS NOT NULL"
    )
    wrong = []
    async with _services(stand) as services:
        for key, kind, size, count, _, owner in rows:
            try:
                async with services.storage.open(str(key)) as file:
                    content = file.read()
            except Exception as error:
                wrong.append(f"{key}: {error!r}")
                continue
            if len(content) != size:
                wrong.append(f"{key}: {len(content)} bytes, told {size}")
            if kind == "csv":
                wrong += _csv(str(key), content, int(str(count)), str(owner))
            elif not content.startswith(b"%PDF"):
                wrong.append(f"{key} is no PDF")
    return wrong


def _csv(key: str, content: bytes, count: int, owner: str) -> Iterator[str]:
    lines = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    if len(lines) != count:
        yield f"{key}: {len(lines)} rows, told {count}"
    prefix = owner.lower().replace(" ", "-") + " "
    if strangers := [line["notes"] for line in lines if not line["notes"].startswith(prefix)]:
        yield f"{key}: rows of others: {strangers[:3]}"


def mails(stand: Stand, ledger: Ledger) -> Found:
    """Each has its end and is at the relay; twice only where nobody could know."""
    rows = stand.all("SELECT message_id, kind, state, attempts, answer, job_id FROM mails")
    arrived, wrong, twice = stand.relay.by_message(), [], Counter[str]()
    for message_id, kind, state, attempts, answer, job_id in rows:
        deliveries = arrived.pop(str(message_id), [])
        if state in ("queued", "sending"):
            wrong.append(f"{kind} {message_id} is still {state} after {attempts}: {answer}")
        if state == "sent" and not deliveries:
            wrong.append(f"{kind} {message_id} was sent, and never came")
        if len(deliveries) > 1:
            cause = _why_twice(ledger, deliveries)
            twice[cause or "unexplained"] += 1
            if cause is None:
                at = ", ".join(moment(delivery.at) for delivery in deliveries)
                wrong.append(f"{kind} came twice without a cause, {at}: {_story(stand, job_id)}")
    wrong += [f"{message_id} came and is no mail of ours" for message_id in arrived]
    states = _by(f"{row[2]}" for row in rows)
    return Found("mails", len(rows), wrong, f"{states}; twice: {dict(twice) or 'none'}")


def _story(stand: Stand, job_id: object) -> str:
    """What happened to a job."""
    events = stand.all(
        "SELECT to_char(at AT TIME ZONE 'UTC', 'HH24:MI:SS '), type::text"
        " FROM procrastinate_events WHERE job_id = %s ORDER BY id", job_id)  # fmt: skip
    errors = stand.all(
        "SELECT to_char(at AT TIME ZONE 'UTC', 'HH24:MI:SS '), error"
        " FROM job_errors WHERE job_id = %s ORDER BY id", job_id)  # fmt: skip
    return ", ".join(f"{at}{what}" for at, what in events + errors)


def _why_twice(ledger: Ledger, deliveries: list[Any]) -> str | None:
    first = deliveries[0]
    if not first.was_answered:
        return "the relay did not say that it took it"
    for act in reversed(ledger.around(first.at, seconds=REACH)):
        if act.asked["to"].startswith(("worker", "postgres", "backends")):
            return f"{act.what} {act.asked['to'].partition('-')[0]}"
    return None


def unsubscribed(stand: Stand, ledger: Ledger) -> Found:
    """After the answer no such mail is claimed for that person."""
    told = _told(ledger.of("unsubscribed"), 200)
    wrong = []
    for entry in told:
        rows = stand.all(
            "SELECT m.id FROM mails m JOIN users u ON u.id = m.user_id WHERE m.state = 'sent'"
            " AND m.kind = 'friend_activity' AND u.name = %s"
            " AND m.claimed_at > to_timestamp(%s::float + 1)",
            entry.by.replace("person-", "Person "), entry.at,
        )  # fmt: skip
        wrong += [f"{entry.by} got mail {number}" for (number,) in rows]
    return Found("unsubscribed", len(told), wrong)


def friends(stand: Stand, ledger: Ledger) -> Found:
    told = _told(ledger.of("accepted"), 204)
    rows = stand.all(
        "SELECT u.name, f.email FROM friendships s JOIN users u ON u.id = s.user_id"
        " JOIN users f ON f.id = s.friend_id"
    )
    pairs = {(str(name).lower().replace(" ", "-"), address) for name, address in rows}
    wrong = [
        f"{one.by} and {one.asked['friend']}"
        for one in told if (one.by, one.asked["friend"]) not in pairs
    ]  # fmt: skip
    return Found("friends", len(told), wrong)


def jobs(stand: Stand, ledger: Ledger) -> Found:
    """Each that was told of has its end, and has run."""
    rows = stand.all("SELECT id, task_name, status::text, attempts FROM procrastinate_jobs")
    status = {int(str(number)): state for number, _, state, _ in rows}
    wrong = [
        f"job {number} ({task}) is {state} after {attempts} attempts"
        for number, task, state, attempts in rows if state in ("todo", "doing")
    ]  # fmt: skip
    told, given_up = ledger.of("deferred"), 0
    for entry in told:
        number = (entry.told or {})["id"]
        if status.get(number) == "failed" and _is_taken_for_the_cause(stand, ledger, number):
            given_up += 1
        elif status.get(number) != "succeeded":
            wrong.append(f"witness {number} is {status.get(number)}: {_story(stand, number)}")
    ended = stand.all("SELECT count(DISTINCT job_id) FROM witness_runs WHERE ended_at IS NOT NULL")
    if int(str(ended[0][0])) < len(told) - given_up:
        wrong.append(f"{len(told)} witnesses were told of, {ended[0][0]} ran to their end")
    failed = [f"{task}" for _, task, state, _ in rows if state == "failed"]
    note = f"{_by(str(row[2]) for row in rows)}; failed: {dict(Counter(failed)) or 'none'}"
    if given_up:
        note += f"; {given_up} of them in {DEATHS} workers that the monkey ended"
    return Found("jobs", len(rows), wrong, note)


def _is_taken_for_the_cause(stand: Stand, ledger: Ledger, job_id: int) -> bool:
    """Of the deaths of its workers, which were the monkey's."""
    deaths = stand.all(
        "SELECT extract(epoch FROM at)::float FROM job_errors"
        " WHERE job_id = %s AND kind = 'death'", job_id)  # fmt: skip
    return len(deaths) == DEATHS and all(
        any(act.what in ("kill -9", "SIGSTOP") and act.asked["to"].startswith("worker")
            for act in ledger.around(float(str(at)), seconds=REACH))
        for (at,) in deaths
    )  # fmt: skip


def beside(stand: Stand, ledger: Ledger) -> Found:
    """No run of a job goes on beside another one, but in a worker that was frozen or cut off."""
    rows = stand.all(
        "SELECT a.job_id, extract(epoch FROM b.started_at)::float, a.pid FROM witness_runs a"
        " JOIN witness_runs b ON a.job_id = b.job_id AND a.id < b.id"
        " WHERE a.ended_at > b.started_at"
    )
    wrong, excused = [], Counter[str]()
    for number, at, pid in rows:
        causes = [
            act for act in ledger.around(float(str(at)), seconds=REACH)
            if act.what in ("SIGSTOP", "terminate", "restart", "promote")
        ]  # fmt: skip
        if causes:
            excused[causes[-1].what] += 1
        else:
            wrong.append(f"job {number} ran twice at once (process {pid}, {at})")
    [(runs,)] = stand.all("SELECT count(*) FROM witness_runs")
    return Found("beside", int(str(runs)), wrong, f"after a freeze or a cut: {dict(excused)}")


def counters(stand: Stand, ledger: Ledger) -> Found:
    """What /metrics adds up against the events: the same, but for a killed worker's last second."""
    rows = stand.all(
        "WITH counted AS (SELECT event, sum(count) AS n FROM job_activity WHERE hour = 'infinity'"
        "  GROUP BY event),"
        " happened AS (SELECT type::text AS event, count(*) AS n FROM procrastinate_events"
        "  GROUP BY type)"
        " SELECT h.event, c.n, h.n FROM happened h JOIN counted c ON c.event = h.event"
        " UNION ALL SELECT 'enqueued', n, (SELECT count(*) FROM procrastinate_jobs)"
        " FROM counted WHERE event = 'enqueued'"
    )
    kills = sum(act.what == "kill -9" for act in ledger.of("kill -9"))
    wrong = [
        f"{event}: counted {counted}, happened {happened}"
        for event, counted, happened in rows
        if not 0 <= int(str(happened)) - int(str(counted)) <= (
            0 if event == "enqueued" else 20 * kills)
    ]  # fmt: skip
    note = ", ".join(f"{event} {counted}/{happened}" for event, counted, happened in rows)
    return Found("counters", len(rows), wrong, note)


def objects(stand: Stand, ledger: Ledger, each: int = 1) -> Found:
    """Those without a row are few, `each` for an act that cut requests and jobs off, and the night
    sweeps them."""
    found, orphans = asyncio.run(_orphans(stand))
    cuts = each * sum(1 for act in ledger.entries if act.by == "monkey")
    wrong = [f"{len(orphans)} objects without a row: {orphans[:3]}"] if len(orphans) > cuts else []
    return Found("objects", found, wrong, f"{len(orphans)} wait for the night's sweep")


async def _orphans(stand: Stand) -> tuple[int, list[str]]:
    found, orphans = 0, []
    async with _services(stand) as services:
        for folder, statement in retention.objects():
            async for page in services.storage.walk(f"{folder}/", 1000):
                found += len(page)
                async with services.pool.connection() as conn:
                    keys = [stored.key for stored in page]
                    orphans += await retention.orphans(conn, statement, keys)
    return found, orphans


def memory(stand: Stand, ledger: Ledger) -> Found:
    sizes = {name: child.resident() for name, child in stand.children.items()}
    wrong = [f"{name}: {size >> 20} MB" for name, size in sizes.items() if size > WORST_RESIDENT]
    wrong += [f"{name} does not run" for name, size in sizes.items() if not size]
    note = ", ".join(f"{name} {size >> 20} MB" for name, size in sizes.items())
    return Found("memory", len(sizes), wrong, note)


def answers(stand: Stand, ledger: Ledger) -> Found:
    """Nobody got a 500, and nobody who was signed in a 401."""
    odd = ledger.of("500") + ledger.of("401")
    wrong = [f"{one.what} {one.asked['path']}: {(one.told or {})['body'][:80]}" for one in odd[:5]]
    return Found("answers", len(ledger.entries), wrong, at=odd[0].at if odd else None)


CHECKS: list[Callable[[Stand, Ledger], Found]] = [
    activities, imports, exports, mails, unsubscribed, friends, jobs, beside, counters, objects,
    memory, answers,
]  # fmt: skip


def scratch(stand: Stand) -> Found:
    """When all processes have ended."""
    left = [path.name for path in stand.scratch.iterdir() if path.name.startswith("activelog")]
    return Found("temporary files", 1, [f"left: {left}"] if left else [])


def _tickets(stand: Stand) -> dict[str, str]:
    rows = stand.all(
        "SELECT t.id::text, CASE WHEN t.cancelled_at IS NOT NULL THEN 'cancelled'"
        " WHEN t.completed_at IS NOT NULL THEN 'completed' ELSE coalesce(j.status::text, 'waiting')"
        " END FROM job_tickets t LEFT JOIN procrastinate_jobs j ON j.id = t.job_id"
    )
    return {str(number): str(state) for number, state in rows}


def _by(words: Iterator[str]) -> str:
    counts = Counter(words)
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))


class _services:  # noqa: N801 - a context manager
    """Ours, against the server that is the primary now."""

    def __init__(self, stand: Stand) -> None:
        self._settings = Settings.from_env(stand.env)

    async def __aenter__(self) -> Any:
        self._pool = database.make_pool(
            self._settings.database_url, max_size=4, application="chaos"
        )
        await self._pool.open()
        return make_services(self._settings, self._pool)

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()


def is_quiet(stand: Stand) -> bool:
    """Everything that waits is made due; true when nothing does."""
    stand.all("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'"
              " AND scheduled_at > now()")  # fmt: skip
    [(left,)] = stand.all(
        "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
    )
    return left == 0


def moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"
