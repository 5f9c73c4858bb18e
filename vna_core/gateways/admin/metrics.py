"""Prometheus metrics of this process. Every process of the archive keeps its own registry."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vna_core.catalogue import Catalogue
from vna_core.domain.errors import VnaError
from vna_core.domain.outcome import IngestResult
from vna_core.federation.health import State
from vna_core.federation.members import Member

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """What this process counts.

    Attributes
    ----------
    registry
        The process's own registry; nothing global is used.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._instances = Counter(
            "vna_instances_total", "Instances offered, by how they ended.", ["outcome"], registry=self.registry
        )
        self._failures = Counter(
            "vna_instance_failures_total", "Instances not acknowledged, by error code.", ["code"], registry=self.registry
        )
        self.received = Counter("vna_http_received_bytes_total", "Octets of request bodies.", registry=self.registry)
        self.sent = Counter("vna_http_sent_bytes_total", "Octets of answers.", registry=self.registry)
        self._requests = Counter(
            "vna_http_requests_total", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "vna_http_request_seconds",
            "Time from a request's head to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._held = Gauge("vna_held", "What the catalogue holds.", ["level"], registry=self.registry)
        self._answers = Counter(
            "vna_federation_answers_total",
            "Questions to members of the federation, by how they ended.",
            ["member", "outcome"],
            registry=self.registry,
        )
        self._circuits = Gauge(
            "vna_federation_member", "1 for the state of a member's circuit.", ["member", "state"], registry=self.registry
        )
        self._latencies = Gauge(
            "vna_federation_member_seconds",
            "Moving average of a member's answers; -1 before the first.",
            ["member"],
            registry=self.registry,
        )
        self._corrections = Gauge(
            "vna_corrections", "Corrections by how far each member is with them.", ["member", "state"], registry=self.registry
        )
        self._counted: dict[tuple[str, str], int] = {}
        self._counting = threading.Lock()
        self._children: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def ingested(self, result: IngestResult) -> None:
        """Count one instance offered."""
        self._instances.labels(result.outcome.value).inc()
        if result.error is not None:
            self._failures.labels(result.error.code).inc()

    def refused(self, error: VnaError) -> None:
        """Count one part that never became an instance."""
        self._instances.labels("refused").inc()
        self._failures.labels(error.code).inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. The route is a pattern, so that labels hold no identifiers and stay few."""
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(method, route, str(status))
            self._timers[route] = self._seconds.labels(route)
        child.inc()
        self._timers[route].observe(seconds)

    def exposition(self, catalogue: Catalogue, members: Sequence[Member] = ()) -> bytes:
        """The text format of Prometheus, with counts of the catalogue as they are now."""
        statistics = catalogue.statistics()
        self._corrections.clear()
        for level in ("patients", "studies", "series", "instances", "versions", "conflicts", "quarantined", "bytes"):
            self._held.labels(level).set(getattr(statistics, level))
        for (member, state), number in catalogue.corrections.counts().items():
            self._corrections.labels(member, state).set(number)
        self._of_members(members)
        return generate_latest(self.registry)

    def _of_members(self, members: Sequence[Member]) -> None:
        for one in members:
            health = one.breaker.health
            self._latencies.labels(one.name).set(health.latency)
            for state in State:
                self._circuits.labels(one.name, state.value).set(state is health.state)
            with self._counting:
                for outcome, number in one.outcomes.items():
                    before = self._counted.get((one.name, outcome), 0)
                    self._answers.labels(one.name, outcome).inc(number - before)
                    self._counted[one.name, outcome] = number


class Measured:
    """ASGI application that counts what passes through it."""

    def __init__(self, app: ASGIApp, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = self._clock()
        status = 0
        sent = 0

        async def sending(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        async def receiving() -> Message:
            message = await receive()
            body = message.get("body")
            if body:
                self._metrics.received.inc(len(body))
            return message

        try:
            await self._app(scope, receiving, sending)
        finally:
            route = str(getattr(scope.get("route"), "path", ""))
            self._metrics.answered(_method(scope), route, status, self._clock() - begin)
            self._metrics.sent.inc(sent)


def _method(scope: Scope) -> str:
    method = str(scope["method"])
    return method if method in ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH") else "OTHER"
