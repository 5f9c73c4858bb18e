"""Counts what is offered, by how it ended."""

from __future__ import annotations

from collections.abc import Callable

from vna_core.domain.errors import VnaError
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.metering import Meter
from vna_core.metering.metrics import FAILURES, INSTANCES


def counting(meter: Meter) -> Callable[[IngestResult], None]:
    """An observer of the pipeline that counts every result."""

    def ended(result: IngestResult) -> None:
        kind = result.source.kind if result.source is not None else ""
        meter.count(INSTANCES, kind, result.outcome.value)
        if result.error is not None:
            meter.count(FAILURES, result.error.code)

    return ended


def count_refused(meter: Meter, kind: str, error: VnaError) -> None:
    """Count what was offered and never reached a result: its sender was told an error and nothing is kept."""
    meter.count(INSTANCES, kind, Outcome.REFUSED.value)
    meter.count(FAILURES, error.code)
