"""The answer of a store transaction: who was stored, who failed and why (PS3.18 section 10.5.3, table I.2-2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from vna_core.dicom.answers import in_order
from vna_core.domain.errors import OutOfResources, UnsupportedMediaType, VnaError
from vna_core.domain.outcome import IngestResult, Outcome

CANNOT_UNDERSTAND: Final = 0xC000
PROCESSING_FAILURE: Final = 0x0110

_REASONS: Final = (
    (OutOfResources, 0xA700),
    (UnsupportedMediaType, CANNOT_UNDERSTAND),
)


@dataclass(frozen=True, slots=True)
class PartOutcome:
    """What became of one part: a result of the pipeline, or an error of what the pipeline never had or could not take."""

    result: IngestResult | None = None
    error: VnaError | None = None

    @property
    def stored(self) -> bool:
        return self.result is not None and self.result.outcome.acknowledged

    @property
    def failure_reason(self) -> int:
        """Failure Reason (0008,1197)."""
        error = self.error or (self.result.error if self.result is not None else None)
        if error is None:
            return (
                CANNOT_UNDERSTAND
                if self.result is not None and self.result.outcome is Outcome.QUARANTINED
                else PROCESSING_FAILURE
            )
        known = next((reason for kind, reason in _REASONS if isinstance(error, kind)), None)
        return known if known is not None else error.dimse_status

    @property
    def failure_comment(self) -> str:
        error = self.error or (self.result.error if self.result is not None else None)
        return error.message if error is not None else ""


def _element(vr: str, *values: Any) -> dict[str, Any]:
    told = [value for value in values if value != ""]
    return {"vr": vr, "Value": told} if told else {"vr": vr}


def _url(base: str, *uids: str) -> str:
    steps = ("studies", "series", "instances")
    return base + "".join(f"/{step}/{quote(uid, safe='')}" for step, uid in zip(steps, uids, strict=False))


def answer(outcomes: Sequence[PartOutcome], base: str) -> tuple[int, dict[str, Any]]:
    """HTTP status and the Store Instances Response Module as DICOM JSON.

    200 when every part was stored, 202 when some were, 409 when none was (503 when none was for a passing shortage).
    """
    stored = [outcome.result for outcome in outcomes if outcome.stored and outcome.result is not None]
    failed = [outcome for outcome in outcomes if not outcome.stored]
    named = [one for one in failed if one.result is not None and one.result.sop_instance_uid]
    others = [one for one in failed if one not in named]
    module: dict[str, Any] = {}
    studies = {result.study_instance_uid for result in stored}
    if len(studies) == 1:
        module["00081190"] = _element("UR", _url(base, *studies))
    if named:
        module["00081198"] = _element("SQ", *(_failed(one) for one in named))
    if stored:
        module["00081199"] = _element("SQ", *(_referenced(result, base) for result in stored))
    if others:
        module["0008119A"] = _element("SQ", *(_reason(one) for one in others))
    if not failed:
        return 200, module
    if stored:
        return 202, module
    starved = all(getattr(one.error or (one.result and one.result.error), "transient", False) for one in failed)
    return (503 if starved else 409), module


def _referenced(result: IngestResult, base: str) -> dict[str, Any]:
    item = {
        "00081150": _element("UI", result.sop_class_uid),
        "00081155": _element("UI", result.sop_instance_uid),
        "00081190": _element("UR", _url(base, result.study_instance_uid, result.series_instance_uid, result.sop_instance_uid)),
    }
    if result.transformations:
        item["00081196"] = _element("US", 0xB000)  # coercion of data elements
    return item


def _reason(outcome: PartOutcome) -> dict[str, Any]:
    said = {"00000902": _element("LO", outcome.failure_comment[:64])} if outcome.failure_comment else {}
    return said | {"00081197": _element("US", outcome.failure_reason)}


def _failed(outcome: PartOutcome) -> dict[str, Any]:
    assert outcome.result is not None
    reason = _reason(outcome) | {
        "00081150": _element("UI", outcome.result.sop_class_uid),
        "00081155": _element("UI", outcome.result.sop_instance_uid),
    }
    return in_order(reason)
