"""What Prometheus reads. Jobs, mails and schedules are counted in Postgres, so every replica of the
API says the same; requests and the pool are each process's own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from activelog.database import Conn, Pool
from activelog.http import access_log
from activelog.operations import admin, queries
from activelog.operations.model import Depth
from activelog.operations.queries import (
    Bucket,
    Exports,
    MailHealth,
    Mails,
    Running,
    Runs,
    ScheduleHealth,
    Size,
)
from activelog.queue.job_counters import BUCKETS

_JOB = ["task", "queue"]
_ENDS = ("succeeded", "failed", "aborted", "retried", "handed_back", "died")


@dataclass(frozen=True, eq=False)
class Measured(Collector):
    queues: list[Depth]
    workers: int
    runs: list[Runs]
    buckets: list[Bucket]
    running: list[Running]
    schedules: list[ScheduleHealth]
    mails: list[Mails]
    exports: list[Exports]
    sizes: list[Size]
    mail_health: MailHealth
    oldest_transaction: float
    pool: dict[str, Any]

    def collect(self) -> Iterable[Metric]:
        yield from self._jobs()
        yield from self._histograms()
        yield from self._queues()
        yield from self._schedules()
        yield _counter(
            "activelog_mails",
            "Mails that ended",
            {(mail.kind, mail.outcome): mail.count for mail in self.mails},
            labels=("kind", "outcome"),
        )
        yield _counter(
            "activelog_exports",
            "Exports by what became of them",
            {(export.format, export.outcome): export.count for export in self.exports},
            labels=("format", "outcome"),
        )
        table = GaugeMetricFamily(
            "activelog_table_bytes", "On disk, with indexes", labels=["table"]
        )
        for size in self.sizes:
            table.add_metric([size.table], size.bytes)
        yield table
        yield _gauge(
            "activelog_mail_oldest_seconds",
            "Age of the oldest mail that is not delivered yet",
            self.mail_health.oldest,
        )
        yield _gauge(
            "activelog_suppressed_addresses",
            "Addresses that get no mails, since a relay refused them for good",
            self.mail_health.suppressed,
        )
        yield _gauge(
            "activelog_relay_refuses",
            "1 while the relay refuses most mails",
            self.mail_health.most_refused,
        )
        yield _gauge(
            "activelog_oldest_transaction_seconds",
            "How long the oldest transaction of the database has been open",
            self.oldest_transaction,
        )
        yield _gauge("activelog_workers", "Workers with a heartbeat", self.workers)
        yield _gauge(
            "activelog_pool_size", "Connections to Postgres", self.pool.get("pool_size", 0)
        )
        waiting = self.pool.get("requests_waiting", 0)
        yield _gauge("activelog_pool_waiting", "Requests that wait for a connection", waiting)

    def _jobs(self) -> Iterator[Metric]:
        enqueued = CounterMetricFamily("activelog_jobs_enqueued", "Jobs enqueued", labels=_JOB)
        ended = {
            event: CounterMetricFamily(f"activelog_jobs_{event}", f"Runs that {text}", labels=_JOB)
            for event, text in zip(
                _ENDS,
                ("succeeded", "failed for good", "were aborted", "will be tried again",
                 "were handed back unfinished", "lost their worker"),
                strict=True,
            )
        }  # fmt: skip
        counts = {(run.task, run.queue, run.event): run.count for run in self.runs}
        running = {(one.task, one.queue): one.count for one in self.running}
        # Zeros, too: what appears with its first failures has not grown, for Prometheus.
        for task, queue in sorted({(task, queue) for task, queue, _ in counts} | set(running)):
            enqueued.add_metric([task, queue], counts.get((task, queue, "enqueued"), 0))
            ends = {event: counts.get((task, queue, event), 0) for event in _ENDS}
            for event, count in ends.items():
                ended[event].add_metric([task, queue], count)
        yield from (enqueued, *ended.values())

    def _histograms(self) -> Iterator[Metric]:
        lasting = HistogramMetricFamily("activelog_job_seconds", "How long runs took", labels=_JOB)
        waiting = HistogramMetricFamily(
            "activelog_job_wait_seconds", "From when a job could start to its start", labels=_JOB
        )
        sums: dict[tuple[str, str], tuple[float, float]] = {}
        for run in self.runs:
            seconds, waited = sums.get((run.task, run.queue), (0.0, 0.0))
            sums[run.task, run.queue] = (seconds + run.seconds, waited + run.waited)
        for key, places in groupby(self.buckets, key=lambda one: (one.task, one.queue)):
            found = list(places)
            seconds, waited = sums[key]
            lasting.add_metric(list(key), _cumulated([one.seconds for one in found]), seconds)
            waiting.add_metric(list(key), _cumulated([one.waited for one in found]), waited)
        yield from (lasting, waiting)

    def _queues(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "activelog_jobs_waiting",
            "Jobs that could start, counted up to 30,000",
            labels=["queue"],
        )
        running = GaugeMetricFamily("activelog_jobs_running", "Jobs at work", labels=["queue"])
        oldest = GaugeMetricFamily(
            "activelog_job_oldest_seconds",
            "How long the one that waits longest has waited",
            labels=["queue"],
        )
        paused = GaugeMetricFamily(
            "activelog_queue_paused", "1 while it is paused", labels=["queue"]
        )
        now = datetime.now(UTC)
        for queue in self.queues:
            waiting.add_metric([queue.queue], queue.waiting)
            running.add_metric([queue.queue], queue.running)
            age = (now - queue.oldest).total_seconds() if queue.oldest else 0
            oldest.add_metric([queue.queue], max(0, age))
            paused.add_metric([queue.queue], queue.paused)
        yield from (waiting, running, oldest, paused)

    def _schedules(self) -> Iterator[Metric]:
        success = GaugeMetricFamily(
            "activelog_schedule_last_success_timestamp_seconds",
            "When it last succeeded",
            labels=["task"],
        )
        failures = GaugeMetricFamily(
            "activelog_schedule_consecutive_failures",
            "Failures since it last succeeded",
            labels=["task"],
        )
        for schedule in self.schedules:
            if schedule.last_success is not None:
                success.add_metric([schedule.task], schedule.last_success.timestamp())
            failures.add_metric([schedule.task], schedule.failures)
        yield from (success, failures)


async def measure(conn: Conn, pool: Pool) -> Measured:
    return Measured(
        queues=await admin.depths(conn),
        workers=await queries.workers(conn),
        runs=await queries.runs(conn),
        buckets=await queries.buckets(conn),
        running=await queries.running(conn),
        schedules=await queries.schedules(conn),
        mails=await queries.mails(conn),
        exports=await queries.exports(conn),
        sizes=await queries.sizes(conn),
        mail_health=await queries.mail_health(conn),
        oldest_transaction=await queries.oldest_transaction(conn),
        pool=pool.get_stats(),
    )


def expose(measured: Measured) -> bytes:
    registry = CollectorRegistry()
    registry.register(measured)
    return generate_latest(registry) + generate_latest(access_log.REGISTRY)


def _counter(
    name: str, text: str, counts: dict[tuple[str, ...], int], *, labels: tuple[str, ...]
) -> CounterMetricFamily:
    found = CounterMetricFamily(name, text, labels=labels)
    for values, count in counts.items():
        found.add_metric(values, count)
    return found


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _cumulated(counts: list[int]) -> list[tuple[str, float]]:
    """As Prometheus has them: each bucket holds all below it."""
    bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
    total, found = 0, []
    for bound, count in zip(bounds, counts, strict=True):
        total += count
        found.append((bound, float(total)))
    return found
