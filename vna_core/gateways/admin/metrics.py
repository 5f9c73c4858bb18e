"""The metrics of all processes of this run in the text format of Prometheus, and what counts HTTP requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vna_core.catalogue import Catalogue
from vna_core.catalogue.store_sums import Missing
from vna_core.dicom.network.tls import Certificate
from vna_core.domain.errors import ConfigurationError
from vna_core.domain.placement import OK
from vna_core.gateways.web.pieces import PIECES
from vna_core.metering import Meter, Meters, Reading
from vna_core.metering.metrics import (
    CORRECTIONS,
    HELD,
    HTTP_RECEIVED,
    HTTP_REQUESTS,
    HTTP_SECONDS,
    HTTP_SENT,
    JOBS,
    JOBS_FAILING,
    METRICS,
    STORE_AWAITED,
    STORE_BYTES,
    STORE_COPIES,
    STORE_COUNTED,
    STORE_FINDINGS,
    STORE_MISSING,
    STORE_MISSING_BYTES,
    STORE_MISSING_SECONDS,
    TLS_DAYS,
    Kind,
    Metric,
)
from vna_core.stewardship.scrub import FINDINGS

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_LEVELS: Final = ("patients", "studies", "series", "instances", "versions", "conflicts", "quarantined", "bytes")


def exposition(run: Meters, catalogue: Catalogue, certificates: Sequence[str] = ()) -> bytes:
    """What all processes counted, what the catalogue holds now, and memory, CPU time and open files of each process."""
    registry = CollectorRegistry()
    registry.register(_Collected([*run.readings(), *_held(catalogue), *_stores(catalogue), *_ages(certificates)], run.living()))
    return generate_latest(registry)


def _held(catalogue: Catalogue) -> Iterator[Reading]:
    statistics = catalogue.statistics()
    for level in _LEVELS:
        yield Reading(HELD, (level,), [getattr(statistics, level)])
    for one in ((CORRECTIONS, catalogue.corrections.counts()), (JOBS, catalogue.jobs.counts())):
        metric, counts = one
        for labels, number in counts.items():
            yield Reading(metric, labels, [number])
    for kind, seconds in catalogue.jobs.failing().items():
        yield Reading(JOBS_FAILING, (kind,), [seconds])


def _stores(catalogue: Catalogue) -> Iterator[Reading]:
    """What each store holds and lacks; a store that has been configured always has numbers, so that rules about them are never about nothing."""
    sums, waiting = catalogue.store_sums, catalogue.waiting_jobs.counts()
    counted, missing, findings = sums.counted(), sums.missing(), sums.findings(FINDINGS)
    names = sums.known()
    nothing = {(name, OK): (0, 0) for name in names}
    for labels, (copies, octets) in sorted({**nothing, **counted.copies}.items()):
        yield Reading(STORE_COPIES, labels, [copies])
        yield Reading(STORE_BYTES, labels, [octets])
    yield Reading(STORE_COUNTED, (), [-1 if counted.age is None else counted.age])
    for name in sorted({*names, *waiting}):
        yield Reading(STORE_AWAITED, (name,), [waiting.get(name, 0)])
    for name in sorted({*names, *missing}):
        lacking = missing.get(name, Missing(0, 0, 0.0))
        yield Reading(STORE_MISSING, (name,), [lacking.copies])
        yield Reading(STORE_MISSING_BYTES, (name,), [lacking.octets])
        yield Reading(STORE_MISSING_SECONDS, (name,), [lacking.seconds])
    for labels in sorted({*findings, *((name, outcome) for name in names for outcome in FINDINGS)}):
        yield Reading(STORE_FINDINGS, labels, [findings.get(labels, 0)])


def _ages(certificates: Sequence[str]) -> Iterator[Reading]:
    """Days that each certificate has left; NaN for what cannot be read."""
    for path in certificates:
        try:
            left = Certificate.of_file(path).days_left()
        except ConfigurationError:
            left = float("nan")
        yield Reading(TLS_DAYS, (path,), [left])


class _Collected:
    """Readings as prometheus_client takes them (its `Collector`)."""

    def __init__(self, readings: Iterable[Reading], living: Mapping[str, int]) -> None:
        self._readings: dict[Metric, list[Reading]] = defaultdict(list)
        for one in readings:
            self._readings[one.metric].append(one)
        self._living = living

    def collect(self) -> Iterator[Family]:
        for metric in METRICS.values():
            yield _family(metric, self._readings.get(metric, ()))
        yield from _processes(self._living)


def _family(metric: Metric, readings: Iterable[Reading]) -> Family:
    if metric.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for one in readings:
            *ranges, total = one.numbers
            bounds = [*map(str, metric.buckets), "+Inf"]
            histogram.add_metric(one.labels, list(zip(bounds, accumulate(ranges), strict=True)), total)
        return histogram
    of_kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = of_kind(metric.name, metric.meaning, labels=metric.labels)
    for one in readings:
        family.add_metric(one.labels, one.numbers[0])
    return family


def _processes(living: Mapping[str, int]) -> Iterator[Family]:
    """The usual ``process_`` metrics of each process, with its name as a label."""
    families: dict[str, Family] = {}
    for name, number in living.items():
        for family in ProcessCollector(pid=partial(int, number), registry=None).collect():
            known = families.setdefault(family.name, Family(family.name, family.documentation, family.type))
            for sample in family.samples:
                known.add_sample(sample.name, {**sample.labels, "process": name}, sample.value)
    yield from families.values()


class Measured:
    """ASGI application that counts what passes through it."""

    def __init__(self, app: ASGIApp, meter: Meter, clock: Callable[[], float]) -> None:
        self._app = app
        self._meter = meter
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
            if message["type"] == PIECES:
                sent += sum(map(len, message["pieces"]))
            elif message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        async def receiving() -> Message:
            message = await receive()
            body = message.get("body")
            if body:
                self._meter.count(HTTP_RECEIVED, by=len(body))
            return message

        try:
            await self._app(scope, receiving, sending)
        finally:
            # The route is a pattern, so that labels hold no identifiers and stay few.
            route = str(getattr(scope.get("route"), "path", ""))
            self._meter.count(HTTP_REQUESTS, _method(scope), route, str(status))
            self._meter.observe(HTTP_SECONDS, self._clock() - begin, route)
            self._meter.count(HTTP_SENT, by=sent)


def _method(scope: Scope) -> str:
    method = str(scope["method"])
    return method if method in ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH") else "OTHER"
