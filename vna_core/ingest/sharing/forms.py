"""Instances and their results as processes of one run tell them to each other: JSON of a fixed form, and descriptors beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from vna_core.domain import errors
from vna_core.domain.errors import VnaError
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.domain.transformation import Confidence, Transformation

Result = IngestResult | VnaError
_PLAIN: Final = (str, int, float, bool, type(None))


class Unreadable(Exception):
    """What came is not of the form."""


def instances_form(received: Sequence[ReceivedInstance]) -> bytes:
    """Everything about instances but their octets."""
    return _written([_instance(one) for one in received])


def read_instances(form: bytes, descriptors: Sequence[int]) -> list[tuple[ReceivedInstance, bool]]:
    """The instances, with octets that are read from the descriptors, which are theirs from now on.

    With each whether its octets are in a file because they were too many for memory. Raises Unreadable.
    """
    try:
        listed = _read(form)
        return [_received(one, descriptor) for one, descriptor in zip(listed, descriptors, strict=True)]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def results_form(results: Sequence[Result]) -> bytes:
    """What became of instances, in order."""
    return _written([_error(one) if isinstance(one, VnaError) else _result(one) for one in results])


def read_results(form: bytes, count: int) -> list[Result]:
    """The same. Raises Unreadable, also where there are not `count` of them."""
    try:
        listed = _read(form)
        if len(listed) != count:
            raise Unreadable(f"{len(listed)} results instead of {count}")
        return [_read_error(one) if len(one) == _ERROR_FIELDS else _read_result(one) for one in listed]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _read(form: bytes) -> Any:
    return json.loads(form.decode("utf-8", "surrogatepass"))  # JSON's own escapes would make one character of two surrogates


# -- instances --------------------------------------------------------------------------------------------------------------


def _instance(received: ReceivedInstance) -> list[Any]:
    hints = (received.transfer_syntax_uid, received.sop_class_uid, received.sop_instance_uid, received.addressed_study)
    octets = received.octets
    return [octets.size, octets.digest, octets.spooled, _source(received.source), received.received_at.isoformat(), *hints]


def _received(form: Any, descriptor: int) -> tuple[ReceivedInstance, bool]:
    size, digest, spooled, source, received_at, *hints = form
    transfer_syntax_uid, sop_class_uid, sop_instance_uid, addressed_study = map(_text, hints)
    received = ReceivedInstance(
        Octets(_number(size), _text(digest), descriptor=descriptor),
        Source(*map(_text, source)),
        datetime.fromisoformat(_text(received_at)),
        transfer_syntax_uid,
        sop_class_uid,
        sop_instance_uid,
        addressed_study,
    )
    return received, spooled is True


def _source(source: Source) -> list[str]:
    return [source.kind, source.name, source.address, source.issuer]


# -- results ----------------------------------------------------------------------------------------------------------------

_ERROR_FIELDS: Final = 3


def _result(result: IngestResult) -> list[Any]:
    return [
        result.outcome.value,
        result.study_instance_uid,
        result.series_instance_uid,
        result.sop_instance_uid,
        result.sop_class_uid,
        [_transformation(one) for one in result.transformations],
        result.quarantine_id,
        None if result.error is None else _error(result.error),
        None if result.source is None else _source(result.source),
        None if result.patient is None else [result.patient.issuer, result.patient.patient_id],
    ]


def _read_result(form: Any) -> IngestResult:
    outcome, study, series, sop_instance, sop_class, transformations, quarantine_id, error, source, patient = form
    return IngestResult(
        Outcome(outcome),
        _text(study),
        _text(series),
        _text(sop_instance),
        _text(sop_class),
        tuple(map(_read_transformation, transformations)),
        None if quarantine_id is None else _text(quarantine_id),
        None if error is None else _read_error(error),
        None if source is None else Source(*map(_text, source)),
        None if patient is None else PatientKey(*map(_text, patient)),
    )


def _transformation(one: Transformation) -> list[Any]:
    return [one.rule, one.confidence.value, one.tag, one.keyword, one.original, one.canonical, one.count, one.detail]


def _read_transformation(form: Any) -> Transformation:
    rule, confidence, tag, keyword, original, canonical, count, detail = form
    return Transformation(
        _text(rule),
        Confidence(confidence),
        _text(tag),
        _text(keyword),
        None if original is None else _text(original),
        None if canonical is None else _text(canonical),
        _number(count),
        _text(detail),
    )


def _error(error: VnaError) -> list[Any]:
    fields = {name: value if isinstance(value, _PLAIN) else str(value) for name, value in error.fields.items()}
    return [error.code, error.message, fields]


def _read_error(form: Any) -> VnaError:
    code, message, fields = form
    return _classes()[_text(code)](_text(message), **fields)


@cache
def _classes() -> dict[str, type[VnaError]]:
    """The classes of the tree by their codes, which are unique in it."""
    return {one.code: one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, VnaError)}


# -- values -----------------------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("a number is expected")
    return value
