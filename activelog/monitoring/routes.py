from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from activelog.monitoring import queries
from activelog.monitoring.queries import Queue
from activelog.services import of_request


async def metrics(request: Request) -> Response:
    async with of_request(request).pool.connection() as conn:
        measured = _Measured(await queries.queues(conn), await queries.workers(conn))
    registry = CollectorRegistry()
    registry.register(measured)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Measured(Collector):
    def __init__(self, queues: list[Queue], workers: int) -> None:
        self._queues = queues
        self._workers = workers

    def collect(self) -> Iterable[GaugeMetricFamily]:
        waiting = GaugeMetricFamily("activelog_jobs_waiting", "Jobs in line", labels=["queue"])
        running = GaugeMetricFamily("activelog_jobs_running", "Jobs at work", labels=["queue"])
        for queue in self._queues:
            waiting.add_metric([queue.queue], queue.waiting)
            running.add_metric([queue.queue], queue.running)
        workers = GaugeMetricFamily("activelog_workers", "Workers with a heartbeat")
        workers.add_metric([], self._workers)
        return waiting, running, workers
