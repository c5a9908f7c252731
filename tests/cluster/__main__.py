"""`python -m tests.cluster`: people use two APIs and four workers while Patroni's cluster loses its
primary in three ways: somebody switches over, the host dies, its network is cut. Nobody restarts
anything of ours. Then the ledger of what people were told is held against what is there.
What the processes said stays in artifacts/cluster.

As root, on Debian: apt-get install patroni etcd-server haproxy pgbouncer postgresql"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from activelog.database.migrations import migrate
from tests.chaos import checks, monkey, people, relay, witness
from tests.chaos.ledger import Ledger
from tests.chaos.stand import ROOT, Stand, add_children, environment, start, stop
from tests.cluster import patroni
from tests.cluster.hosts import Host
from tests.cluster.patroni import TTL, Cluster
from tests.processes import free_port, until
from tests.real.pgbouncer import pgbouncer

LOGS = ROOT / "artifacts" / "cluster"
WORKERS, PEOPLE = 4, 6
LIVES = 15.0  # seconds before the first act, and after each
LIMIT = 5.0  # seconds beside Patroni's own until work goes on
QUIET_SECONDS = 120.0
# Of each person one import may be under way when the primary goes.
CHECKS = [partial(checks.objects, each=PEOPLE) if check is checks.objects else check
          for check in checks.CHECKS]  # fmt: skip


@dataclass
class Failover:
    """Seconds: until there was a new primary, and from then until people's work went on."""

    what: str
    elected: float
    activity: float
    job: float

    @property
    def is_good(self) -> bool:
        return max(self.activity, self.job) <= LIMIT


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.cluster", description=__doc__)
    parser.add_argument("--seed", default="1")
    arguments = parser.parse_args()
    if why := patroni.missing():
        sys.exit(f"No cluster: {why}")
    with _running() as (cluster, stand):
        ledger, over = Ledger(stand.folder / "ledger.jsonl"), threading.Event()
        threads = [monkey.start(people.witnesses, stand, ledger, over, arguments.seed)]
        for number in range(PEOPLE):
            one = people.Person(number, stand, ledger, over, arguments.seed, PEOPLE)
            threads.append(monkey.start(one.live))
        time.sleep(LIVES)
        failovers = list(_failovers(cluster, stand, ledger))
        over.set()
        for thread in threads:
            thread.join(people.PATIENCE)
        until(lambda: checks.is_quiet(stand), "quiet", QUIET_SECONDS)
        time.sleep(5)  # the last counts are added up every few seconds
        found = [check(stand, ledger) for check in CHECKS]
        for log in stand.folder.rglob("*.log"):
            LOGS.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, LOGS / "-".join(log.relative_to(stand.folder).parts))
    for failover in failovers:
        print(f"{'ok' if failover.is_good else 'SLOW':6}{failover.what:16}a new primary after"
              f" {failover.elected:.1f} s, an activity {failover.activity:.1f} s later,"
              f" a job {failover.job:.1f} s")  # fmt: skip
    checks.show(found)
    if any(one.wrong for one in found) or not all(one.is_good for one in failovers):
        sys.exit(1)


def _failovers(cluster: Cluster, stand: Stand, ledger: Ledger) -> Iterator[Failover]:
    for what, act, mend in (
        ("switchover", cluster.switch_over, lambda host: None),
        ("host dies", Host.crash, cluster.start),
        ("network cut", Host.cut, Host.mend),
    ):
        old = cluster.primary()
        assert old is not None
        yield _failover(cluster, stand, ledger, what, old, act)
        mend(old)
        until(cluster.is_whole, f"the old primary as a standby after: {what}", 180)
        time.sleep(LIVES)


def _failover(
    cluster: Cluster, stand: Stand, ledger: Ledger, what: str, old: Host,
    act: Callable[[Host], None],
) -> Failover:  # fmt: skip
    print(f"{what}: {old.name}", flush=True)
    ledger.write("monkey", what, to=f"postgres {old.name}")
    began, new = time.time(), cluster.other(old)
    act(old)
    until(lambda: cluster.primary() is new, "a new primary", 4 * TTL)
    elected = time.time()
    until(lambda: _logged_since(ledger, elected), "an activity", 60)
    until(lambda: _started_since(stand, elected), "a job", 60)
    return Failover(
        what, elected - began, _logged_since(ledger, elected) - elected,
        _started_since(stand, elected) - elected,
    )  # fmt: skip


def _logged_since(ledger: Ledger, since: float) -> float:
    """When the first activity was accepted; 0 if none was."""
    found = [one.at for one in ledger.of("logged") if one.told and one.told["status"] == 201]
    return next((at for at in found if at > since), 0)


def _started_since(stand: Stand, since: float) -> float:
    try:
        [(at,)] = stand.all(
            "SELECT extract(epoch FROM min(started_at))::float FROM witness_runs"
            " WHERE started_at > to_timestamp(%s::float)", since,
        )  # fmt: skip
    except Exception:  # it is not there yet
        return 0
    return float(str(at)) if at else 0


@contextmanager
def _running() -> Iterator[tuple[Cluster, Stand]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="activelog-cluster-")))
        folder.chmod(0o755)
        cluster = stack.enter_context(patroni.running(folder))
        migrate(cluster.url)
        # While there is no primary it asks again each second, not each quarter of a minute.
        pooled = stack.enter_context(
            pgbouncer(cluster.url, "transaction", free_port(), "server_login_retry = 1")
        )
        sink, smtp = stack.enter_context(relay.running())
        scratch = folder / "tmp"
        scratch.mkdir()
        env = environment(pooled, smtp, (folder / "objects").as_uri(), scratch)
        env["ACTIVELOG_DATABASE_DIRECT_URL"] = cluster.url
        stand = Stand(folder=folder, relay=sink, env=env, scratch=scratch)
        stand.all(witness.TABLE)
        add_children(stand, WORKERS)
        stack.callback(stop, stand)
        start(stand)
        yield cluster, stand


main()
