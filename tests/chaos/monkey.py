"""Breaks things, as the seed says. Each act ends with the thing mended again."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos import relay
from tests.chaos.ledger import Ledger
from tests.chaos.stand import SCRATCH_BYTES, Child, OwnStand

QUICK, LONG = 12.0, 60.0  # seconds at most


@dataclass
class Monkey:
    """Lives in the main thread: what it starts dies with the thread that started it."""

    stand: OwnStand
    ledger: Ledger
    seed: str
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.seed}/monkey")

    def play(self, seconds: float) -> None:
        began = time.monotonic()
        is_promoted = self.stand.standby is None
        while time.monotonic() < began + seconds:
            if not is_promoted and time.monotonic() > began + seconds / 2:
                is_promoted = True
                self._do("promote", "postgres", self.stand.promote)
            self._act()
            self._wait(self.random.uniform(1, 6))
        while self.later:
            self._wait(1)

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (now := time.monotonic()) < deadline:
            due = [one for one in self.later if one[0] <= now]
            self.later = [one for one in self.later if one[0] > now]
            for _, mend in due:
                mend()
            time.sleep(0.1)

    def _do(self, what: str, to: str, act: Callable[[], None], seconds: float = 0) -> None:
        self.ledger.write("monkey", what, {"seconds": seconds}, to=to)
        act()

    def _mend_in(self, seconds: float, mend: Callable[[], None]) -> None:
        self.later.append((time.monotonic() + seconds, mend))

    def _act(self) -> None:
        acts = {
            self._kill: 6, self._stop: 4, self._restart: 3, self._upset_relay: 4,
            self._end_backends: 3, self._restart_postgres: 2, self._freeze_backends: 2,
            self._stop_storage: 2, self._fill_scratch: 1, self._outage: 1,
        }  # fmt: skip
        [act] = self.random.choices(list(acts), list(acts.values()))
        act()

    def _child(self) -> Child:
        return self.stand.children[self.random.choice(sorted(self.stand.children))]

    def _kill(self) -> None:
        child = self._child()

        def again() -> None:
            child.kill()
            child.start()

        self._do("kill -9", child.name, again)

    def _stop(self) -> None:
        child, seconds = self._child(), self.random.uniform(1, 15)
        self._do("SIGSTOP", child.name, lambda: child.send(signal.SIGSTOP), seconds)
        self._mend_in(seconds, lambda: child.send(signal.SIGCONT))

    def _restart(self) -> None:
        child = self._child()

        def start_when_ended() -> None:
            assert child.process is not None
            if child.process.poll() is None:
                child.kill()  # it was stopped meanwhile
            child.start()

        self._do("SIGTERM", child.name, lambda: child.send(signal.SIGTERM))
        self._mend_in(12, start_when_ended)

    def _upset_relay(self) -> None:
        mood, seconds = self.random.choice(relay.MOODS), self.random.uniform(2, QUICK)
        self._do(mood, "relay", lambda: setattr(self.stand.relay, "mood", mood), seconds)
        self._mend_in(seconds, lambda: setattr(self.stand.relay, "mood", "well"))

    def _end_backends(self) -> None:
        self._do("terminate", "backends", self._each_backend(
            "pg_terminate_backend(pid)", self.random.choice([0.2, 1.0])))  # fmt: skip

    def _each_backend(self, what: str, share: float) -> Callable[[], None]:
        statement = (
            f"SELECT {what} FROM pg_stat_activity WHERE datname = 'activelog'"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            " AND pid %% 100 < %s"
        )

        def act() -> None:
            self.stand.all(statement, share * 100)

        return act

    def _freeze_backends(self) -> None:
        """Connections on which nothing comes any more: a cut network, seen from our side."""
        if os.geteuid() != 0:
            return
        rows = self.stand.all(
            "SELECT pid FROM pg_stat_activity WHERE datname = 'activelog'"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND pid %% 4 = %s",
            self.random.randrange(4),
        )
        pids, seconds = [int(str(pid)) for (pid,) in rows], self.random.uniform(1, QUICK)
        self._do("SIGSTOP", "backends", lambda: _signal(pids, signal.SIGSTOP), seconds)
        self._mend_in(seconds, lambda: _signal(pids, signal.SIGCONT))

    def _restart_postgres(self, away: float = 1.0) -> None:
        def again() -> None:
            self.stand.server.stop()
            time.sleep(away)
            self.stand.server.start()

        self._do("restart", "postgres", again, away)

    def _outage(self) -> None:
        self._restart_postgres(self.random.uniform(QUICK, LONG))

    def _stop_storage(self) -> None:
        s3, seconds = self.stand.s3, self.random.uniform(2, QUICK)
        if s3 is not None:
            self._do("SIGSTOP", "storage", lambda: s3.send_signal(signal.SIGSTOP), seconds)
            self._mend_in(seconds, lambda: s3.send_signal(signal.SIGCONT))

    def _fill_scratch(self) -> None:
        if not self.stand.is_small:
            return
        path, seconds = self.stand.scratch / "full", self.random.uniform(2, QUICK)

        def fill() -> None:
            try:
                path.write_bytes(bytes(SCRATCH_BYTES))
            except OSError:
                return  # that is what was wanted

        self._do("fill", "scratch", fill, seconds)
        self._mend_in(seconds, lambda: path.unlink(missing_ok=True))


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def start(target: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread
