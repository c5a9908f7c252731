"""`python -m tests.chaos.soak [--days 8] [--minutes 30]`: days of the product in minutes. The clock
of Postgres, of the API and of the workers jumps, so all schedules run; people log, change, delete,
import and export; something breaks twice a day. The first of a month and a Sunday are among the
days. In the end the figures are those of a plain computation, each mail of an occasion came once,
each tick ran once, and retention has kept the tables flat.

`PROCRASTINATE_APP=tests.chaos.soak.app` is the product with workers that survive a jump."""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from croniter import croniter

from activelog import jobs
from activelog.base.settings import Settings
from activelog.database.migrations import migrate
from activelog.queue import App
from activelog.queue.heartbeat import Heartbeat
from activelog.queue.limits import Limits
from tests.chaos import checks, monkey, people, relay
from tests.chaos.checks import Found
from tests.chaos.clock import Clock, ClockedPostgres, library
from tests.chaos.ledger import Ledger
from tests.chaos.stand import WORKERS, Child, OwnStand, add_children, environment, start, stop
from tests.conftest import PASSWORD, remove_data
from tests.processes import until

PAUSE = 2.5  # seconds between two jumps
SILENCE = 3600.0  # by the clock that jumps
PEOPLE = 24
QUIET_SECONDS = 300.0
KINDS = ("running", "ride", "yoga")
Figures = tuple[int, int, float]  # activities, minutes, kilometres


@dataclass
class Row:
    kind: str
    minutes: int
    kilometres: float
    day: date
    activity_id: int | None  # None: it came with an import


class Runner(people.Person):
    """Knows what is hers: `rows`, by their notes. An answer that does not come is asked for again
    until it is there."""

    rows: dict[str, Row]
    clock: Clock

    def live(self) -> None:
        self.rows = {}
        self._arrive()
        self.log()
        while not self.over.wait(self.random.uniform(4, 12)):
            acts = [self.log, self.change, self.drop, self.bring, self.export_csv]
            [act] = self.random.choices(acts, [70, 10, 8, 4, 8])
            act()

    def sure(self, method: str, path: str, key: str, **options: Any) -> Any:
        while True:
            try:
                headers = {"Idempotency-Key": key} if key else {}
                answer = self.ask(method, path, headers=headers, **options)
            except people.GaveUp:
                continue
            if answer.status_code != 401:
                return answer
            self.token = ""
            signed_in = {"email": self.address, "password": PASSWORD}
            self.token = self.ask("POST", "/api/v1/auth/login", json=signed_in).json()["token"]

    def log(self) -> None:
        notes, row = self._next()
        at = self._some_time_ago()
        row.day = at.date()
        body = {"activity_type": row.kind, "duration_minutes": row.minutes,
                "distance_km": row.kilometres, "activity_date": at.isoformat(),
                "notes": notes}  # fmt: skip
        told = self.sure("POST", "/api/v1/activities", notes, json=body)
        assert told.status_code == 201, told.text
        row.activity_id = told.json()["id"]
        self.rows[notes] = row

    def change(self) -> None:
        """A late correction, also of days whose figures were computed."""
        if row := self._one_of_hers():
            row.minutes += 7
            body = {"duration_minutes": row.minutes}
            told = self.sure("PATCH", f"/api/v1/activities/{row.activity_id}", "", json=body)
            assert told.status_code == 200, told.text

    def drop(self) -> None:
        if row := self._one_of_hers():
            told = self.sure("DELETE", f"/api/v1/activities/{row.activity_id}", "")
            assert told.status_code in (204, 404), told.text
            self.rows = {notes: one for notes, one in self.rows.items() if one is not row}

    def bring(self) -> None:
        lines, first = [people._ROWS], self._some_time_ago()
        rows = {}
        for number in range(5):
            notes, row = self._next()
            at = first - timedelta(hours=number)
            row.day, rows[notes] = at.date(), row
            lines.append(f"{row.kind},{row.minutes},{row.kilometres},"
                         f"{at:%Y-%m-%dT%H:%M:%SZ},{notes}\n")  # fmt: skip
        told = self.sure("POST", "/api/v1/activities/import", notes,
                         content="".join(lines).encode())  # fmt: skip
        if told.status_code == 202:
            self.rows |= rows

    def export_csv(self) -> None:
        self.sure("POST", "/api/v1/activities/export/csv", self._next()[0], json={})

    def _next(self) -> tuple[str, Row]:
        self.logged += 1
        chance = self.random
        row = Row(chance.choice(KINDS), chance.randint(10, 90), chance.randint(1, 200) / 10,
                  date.min, None)  # fmt: skip
        return f"{self.name} log {self.logged}", row

    def _some_time_ago(self) -> datetime:
        ago = timedelta(minutes=self.random.randint(0, 36 * 60))
        return (self.clock.now() - ago).replace(microsecond=0)

    def _one_of_hers(self) -> Row | None:
        known = [row for row in self.rows.values() if row.activity_id]
        return self.random.choice(known) if known else None


@dataclass
class Soak:
    stand: OwnStand
    clock: Clock
    began: datetime
    runners: list[Runner]
    random: random.Random
    jump: timedelta
    kills: int = 0
    relay_was_away: bool = False
    later: list[tuple[datetime, Callable[[], None]]] = field(default_factory=list)
    sizes: dict[date, dict[str, int]] = field(default_factory=dict)

    def play(self, steps: int) -> None:
        a_break = timedelta(hours=12) // self.jump
        for step in range(steps):
            end = time.monotonic() + PAUSE
            self.clock.jump(self.jump)
            self._mend()
            if step % a_break == a_break // 2:
                self._break()
            self._measure()
            time.sleep(max(0.0, end - time.monotonic()))
        while self.later:
            self.clock.jump(self.jump)
            self._mend()
            time.sleep(PAUSE)

    # What breaks

    def _mend(self) -> None:
        due = [mend for at, mend in self.later if at <= self.clock.now()]
        self.later = [one for one in self.later if one[0] > self.clock.now()]
        for mend in due:
            mend()

    def _break(self) -> None:
        acts = [self._no_worker, self._no_postgres, self._no_relay, self._kill]
        act = self.random.choice(acts)
        print(
            f"{self.clock.now():%a %d %H:%M} {act.__name__.strip('_').replace('_', ' ')}",
            flush=True,
        )
        act()

    def _away(self, hours: float, mend: Callable[[], None]) -> None:
        self.later.append((self.clock.now() + timedelta(hours=hours), mend))

    def _no_worker(self) -> None:
        """For six hours: ticks are missed, and made up."""
        for child in self._workers():
            self._kill_one(child)
            self._away(6, child.start)

    def _no_postgres(self) -> None:
        self.stand.server.stop()
        self._away(1, self.stand.server.start)

    def _no_relay(self) -> None:
        """For as long as mails are tried again."""
        self.stand.relay.mood = "refuses"
        self._away(0.5, lambda: setattr(self.stand.relay, "mood", "well"))

    def _kill(self) -> None:
        for child in self.random.sample(sorted(self.stand.children.values(), key=str), 2):
            self._kill_one(child)
            child.start()

    def _kill_one(self, child: Child) -> None:
        self.kills += 1
        child.kill()

    def _workers(self) -> list[Child]:
        return [child for name, child in self.stand.children.items() if "worker" in name]

    # What it takes

    def _measure(self) -> None:
        """Once a day, after the nightly clean-up."""
        now = self.clock.now()
        is_early = now.hour < 12 or now.date() in (self.began.date(), *self.sizes)
        if is_early or not self.stand.server.is_running:
            return
        counts = {table: self._count(table) for table in TABLES}
        counts["stored files"] = sum(1 for _ in (self.stand.folder / "objects").rglob("*.*"))
        self.sizes[now.date()] = counts
        print(f"{now:%a %d %H:%M} {counts}", flush=True)

    def _count(self, table: str) -> int:
        [(count,)] = self.stand.all(f"SELECT count(*) FROM {table}")
        return int(str(count))

    # The end

    def settle(self) -> None:
        """Until the figures of the last day are computed, and its night was cleaned up."""
        until(lambda: checks.is_quiet(self.stand), "quiet", QUIET_SECONDS)
        tomorrow = self.clock.now().date() + timedelta(days=1)
        for hour in (0.5, 2.5):
            while self.clock.now() < _midnight(tomorrow) + timedelta(hours=hour):
                self.clock.jump(self.jump)
                time.sleep(PAUSE)
            until(lambda: not _missing(self), "the night's schedules", QUIET_SECONDS)
            until(lambda: checks.is_quiet(self.stand), "quiet", QUIET_SECONDS)


# What is kept for a day or two, and what for a week.
FLAT = ("procrastinate_jobs", "procrastinate_events", "job_outcomes", "limits")
TABLES = (*FLAT, "idempotency_keys")
TOO_OLD = "SELECT count(*) FROM idempotency_keys WHERE created_at < now() - interval '8 days'"


# Checks


def figures(soak: Soak) -> Found:
    """Of each person and day, those of a plain computation."""
    wanted: dict[tuple[str, date], Figures] = defaultdict(lambda: (0, 0, 0.0))
    for runner in soak.runners:
        for row in runner.rows.values():
            count, minutes, kilometres = wanted[runner.address, row.day]
            wanted[runner.address, row.day] = (
                count + 1, minutes + row.minutes, kilometres + row.kilometres)  # fmt: skip
    stored = {
        (str(address), day): (count, minutes, float(str(kilometres)))
        for address, day, count, minutes, kilometres in soak.stand.all(
            "SELECT u.email, d.day, d.activities, d.minutes, d.kilometres"
            " FROM daily_stats d JOIN users u ON u.id = d.user_id"
        )
    }
    wrong = [
        f"{address} {day}: {stored.get((address, day))} in place of {found}"
        for (address, day), found in wanted.items()
        if not _alike(found, stored.pop((address, day), None))
    ]
    wrong += [
        f"{address} {day}: {found}, and nothing was logged"
        for (address, day), found in stored.items()
    ]
    return Found("figures", len(wanted), wrong)


def _alike(one: Figures, other: Any) -> bool:
    return other is not None and one[:2] == other[:2] and abs(one[2] - other[2]) < 0.001


def weekly(soak: Soak) -> Found:
    sundays = [tick.date() for tick in _ticks("0 9 * * 0", soak)]
    return _one_each(soak, "weekly_summary", [f"{day}" for day in sundays])


def monthly(soak: Soak) -> Found:
    months = [tick.date() - timedelta(days=1) for tick in _ticks("0 0 1 * *", soak)]
    return _one_each(soak, "monthly_report", [f"{day:%Y-%m}" for day in months])


def _one_each(soak: Soak, kind: str, keys: list[str]) -> Found:
    """A mail of the kind to each person and key, which came once; twice only around a kill."""
    rows = soak.stand.all(
        "SELECT u.email, m.dedup_key, m.message_id, m.state FROM mails m"
        " JOIN users u ON u.id = m.user_id WHERE m.kind = %s", kind,
    )  # fmt: skip
    sent = Counter(
        (str(address), str(key)[:10]) for address, key, _, state in rows if state == "sent"
    )
    wanted = {(runner.address, key) for runner in soak.runners for key in keys}
    wrong = [f"{address} {key}: {sent[address, key]}" for address, key in wanted
             if sent[address, key] != 1]  # fmt: skip
    wrong += [f"{one}: {count}, not wanted" for one, count in sent.items() if one not in wanted]
    arrived = soak.stand.relay.by_message()
    came = [
        len(arrived.get(str(message_id), [])) for _, _, message_id, state in rows if state == "sent"
    ]
    if 0 in came or came.count(2) > soak.kills or max(came, default=1) > 2:
        wrong.append(f"they came so often: {Counter(came)}")
    return Found(kind, len(wanted), wrong, f"came twice: {came.count(2)}")


def ticks(soak: Soak) -> Found:
    """Each ran once, also those that were missed while no worker was there."""
    rows = soak.stand.all(
        "SELECT task_name, tick FROM schedule_runs WHERE tick IS NOT NULL AND outcome = 'succeeded'"
    )
    ran = Counter((str(task), tick) for task, tick in rows)
    wrong = [
        f"{task} of {tick} ran {count} times" for (task, tick), count in ran.items() if count > 1
    ]
    wrong += [f"{task} of {tick} did not run" for task, tick in _missing(soak)]
    return Found("ticks", len(ran), wrong)


def _missing(soak: Soak) -> list[tuple[str, datetime]]:
    rows = soak.stand.all("SELECT task_name, tick FROM schedule_runs WHERE outcome = 'succeeded'")
    ran = {(str(task), tick) for task, tick in rows}
    schedules = soak.stand.all("SELECT task_name, cron FROM schedule_ticks")
    return [
        (str(task), tick) for task, cron in schedules for tick in _ticks(str(cron), soak)
        if (str(task), tick) not in ran
    ]  # fmt: skip


def _ticks(cron: str, soak: Soak) -> Iterator[datetime]:
    every = croniter(cron, soak.began)
    while (tick := every.get_next(datetime)) <= soak.clock.now():
        yield tick


def flat(soak: Soak) -> Found:
    """From the third day on no table grows, and what is kept for a week goes after it."""
    sizes = list(soak.sizes.values())
    if len(sizes) < 5:
        return Found("flat", 0, [], "too few days")
    early, late = sizes[2], sizes[-1]
    wrong = [f"{name}: {early[name]}, then {late[name]}" for name in FLAT
             if late[name] > 1.5 * early[name] + 500]  # fmt: skip
    [(old,)] = soak.stand.all(TOO_OLD)
    wrong += [f"{old} idempotency keys are too old"] if old else []
    return Found("flat", len(early), wrong, f"{early} to {late}")


def ends(soak: Soak) -> Found:
    rows = soak.stand.all(
        "SELECT task_name, status::text, count(*) FROM procrastinate_jobs GROUP BY 1, 2"
    )
    wrong = [f"{count} of {task} {status}" for task, status, count in rows if status != "succeeded"]
    mails = soak.stand.all("SELECT kind, state, count(*) FROM mails GROUP BY 1, 2")
    wrong += [
        f"{count} mails {kind} {state}"
        for kind, state, count in mails
        if state in ("queued", "sending", "failed")
    ]
    return Found("ends", len(rows) + len(mails), wrong)


CHECKS = (figures, weekly, monthly, ticks, flat, ends)


# The world


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--seed", default="1")
    arguments = parser.parse_args()
    if library() is None:
        sys.exit("the soak needs libfaketime: apt-get install faketime")
    steps = int(arguments.minutes * 60 / PAUSE)
    jump = timedelta(days=arguments.days) / steps
    if jump.total_seconds() > SILENCE / 3:
        sys.exit(f"a jump of {jump} is too far for workers: give it more minutes")
    with _running(arguments, jump) as soak:
        over = soak.runners[0].over
        threads = [monkey.start(runner.live) for runner in soak.runners]
        soak.play(steps)
        over.set()
        for thread in threads:
            thread.join(people.PATIENCE)
        soak.settle()
        found = [check(soak) for check in CHECKS]
    checks.show(found)
    sys.exit(any(one.wrong for one in found))


@contextmanager
def _running(arguments: argparse.Namespace, jump: timedelta) -> Iterator[Soak]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="activelog-soak-")))
        folder.chmod(0o755)
        clock = Clock(folder / "clock")
        clock.go_to(_start(datetime.now(UTC).date()))
        stack.callback(remove_data, folder / "postgres")
        server = stack.enter_context(ClockedPostgres(folder / "postgres", clock))
        migrate(server.url())
        sink, smtp = stack.enter_context(relay.running())
        scratch = folder / "tmp"
        scratch.mkdir()
        env = environment(server.url(), smtp, (folder / "objects").as_uri(), scratch)
        env |= clock.environment() | {
            "PROCRASTINATE_APP": "tests.chaos.soak.app",
            "ACTIVELOG_KEEP_SUCCEEDED_DAYS": "1",
            "ACTIVELOG_WEEKLY_SPREAD_MINUTES": "60",
        }
        world = OwnStand(folder=folder, relay=sink, env=env, scratch=scratch, server=server)
        add_children(world)
        stack.callback(stop, world)
        start(world)
        until(lambda: len(world.all("SELECT worker_id FROM our_workers")) >= WORKERS, "workers")
        over, ledger = threading.Event(), Ledger(folder / "ledger.jsonl")
        runners = []
        for number in range(arguments.people):
            runner = Runner(number, world, ledger, over, arguments.seed, arguments.people)
            runner.clock = clock
            runners.append(runner)
        chance = random.Random(arguments.seed)
        yield Soak(world, clock, clock.now(), runners, chance, jump)


def _start(today: date) -> datetime:
    """Five days before the next month but one, so that its first day and a Sunday come."""
    month = (today.replace(day=1) + timedelta(days=63)).replace(day=1)
    return _midnight(month - timedelta(days=5)) + timedelta(hours=20)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def __getattr__(name: str) -> App:
    """As in activelog.jobs: importing this module reads no environment."""
    if name != "app":
        raise AttributeError(name)
    app = jobs.make_app(Settings.from_env(os.environ))
    app.limits = Limits(silence=SILENCE, stock_silence=SILENCE)
    # A worker rescues when its own beats were regular for as long as that, by a clock that does not
    # jump.
    Heartbeat.is_regular = property(lambda beat: time.monotonic() - beat._beat_at < 2)  # type: ignore[method-assign, assignment]
    return app


if __name__ == "__main__":
    main()
