"""Room `announce`: who must know is told.

Comes in: an indexed instance. Guaranteed afterwards: every observer was called, and none of their failures reached the sender.
What must not be lost is a job, asked for with the index; a process that dies here loses a notification of observers only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from vna_core.domain.outcome import IngestResult
from vna_core.ingest.stages import Indexed

Observer = Callable[[IngestResult], object]

_log = structlog.get_logger(__name__)


def announce(indexed: Indexed, observers: Iterable[Observer]) -> IngestResult:
    """The result for the sender; observers are told."""
    canonical = indexed.placed.reconciled.canonical
    result = IngestResult(
        indexed.outcome,
        canonical.study_instance_uid,
        canonical.series_instance_uid,
        canonical.sop_instance_uid,
        canonical.sop_class_uid,
        canonical.transformations,
        source=canonical.received.source,
        patient=indexed.placed.reconciled.patient,
    )
    notify(result, observers)
    return result


def notify(result: IngestResult, observers: Iterable[Observer]) -> None:
    """Tell every observer; a failing one is logged and stops nothing."""
    for observer in observers:
        try:
            observer(result)
        except Exception:  # noqa: BLE001 - whatever an observer raises
            kind = type(observer)  # not its representation, which is the plugin's too
            named = (getattr(observer, "__module__", kind.__module__), getattr(observer, "__qualname__", kind.__qualname__))
            _log.exception("observer-failed", observer=".".join(map(str, named)))
