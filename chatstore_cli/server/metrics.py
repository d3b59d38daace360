"""Metrics for Prometheus: requests, the queue of the worker, and what it stored.

If several processes have the same folder in PROMETHEUS_MULTIPROC_DIR, each of them reports the requests of all. Sockets and
worker are always those of the process that answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.types import Scope

from chatstore_cli.server.entrance.gate import route_of
from chatstore_cli.server.services import Services

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, services: Services) -> None:
        # Otherwise each counter has a second series, which nobody needs.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the package has no types for it
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "chatstore_requests", "Answered requests.", ("method", "route", "status"), registry=self._registry
        )
        self._latency = Histogram(
            "chatstore_request_seconds",
            "Seconds until a request was answered.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._process = _Process(services)
        self._registry.register(self._process)

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answered request under the pattern of its route: ids would make endless series."""
        route = route_of(scope)
        self._requests.labels(scope["method"], route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def text(self) -> bytes:
        """The metrics in the format of Prometheus."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the package has no types for it
        registry.register(self._process)
        return generate_latest(registry)


class _Process:
    """The sockets and the worker of this process, read when they are asked for."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterable[Metric]:
        """The metrics. If MongoDB is disabled, those of the worker are missing."""
        yield GaugeMetricFamily("chatstore_open_sockets", "Open sockets.", self._services.sockets.open)
        worker = self._services.worker
        if worker is None:
            return
        stats = worker.stats()
        yield GaugeMetricFamily(
            "chatstore_queue_depth", "Recorded messages that are not stored yet.", stats.queue_depth
        )
        writes = CounterMetricFamily("chatstore_messages", "Recorded messages by result.", labels=("result",))
        writes.add_metric(("stored",), stats.flushed)
        writes.add_metric(("skipped",), stats.skipped)
        writes.add_metric(("quarantined",), stats.quarantined)
        writes.add_metric(("lost",), stats.lost)
        yield writes
        latency = GaugeMetricFamily("chatstore_flush_seconds", "Seconds to store a batch.", labels=("quantile",))
        for quantile, milliseconds in (("0.5", stats.flush_latency_p50), ("0.99", stats.flush_latency_p99)):
            if milliseconds is not None:
                latency.add_metric((quantile,), milliseconds / 1000)
        yield latency
