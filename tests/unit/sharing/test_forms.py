"""What processes tell each other of instances and results comes back as it was, and nothing else is taken for it."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_core.domain import errors
from vna_core.domain.errors import OutOfResources, Truncated, VnaError
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.domain.transformation import Confidence, Transformation
from vna_core.ingest.sharing.forms import Unreadable, instances_form, read_instances, read_results, results_form

TEXTS = st.text(
    st.sampled_from('a1.^\\="{[ \0\r\n\x7fé漢\U0001f9b4\ud800\udcff'), max_size=12
)  # lone surrogates as well: identifiers are opaque octets
SOURCES = st.builds(Source, TEXTS, TEXTS, TEXTS, TEXTS)
MOMENTS = st.datetimes(timezones=st.just(UTC))
INSTANCES = st.builds(
    ReceivedInstance,
    st.builds(Octets, st.integers(0, 1 << 40), TEXTS, descriptor=st.integers(3, 1000)),
    SOURCES,
    MOMENTS,
    TEXTS,
    TEXTS,
    TEXTS,
    TEXTS,
)
TRANSFORMATIONS = st.builds(
    Transformation,
    TEXTS,
    st.sampled_from(Confidence),
    TEXTS,
    TEXTS,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.integers(0, 10**9),
    TEXTS,
)
CLASSES = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, VnaError)]
VALUES = st.none() | st.booleans() | st.integers() | TEXTS
FIELDS = st.dictionaries(st.sampled_from(("limit", "maximum", "key", "retry_after")), VALUES)
ERRORS = st.builds(lambda kind, message, given: kind(message, **given), st.sampled_from(CLASSES), TEXTS, FIELDS)
RESULTS = st.builds(
    IngestResult,
    st.sampled_from(Outcome),
    TEXTS,
    TEXTS,
    TEXTS,
    TEXTS,
    st.lists(TRANSFORMATIONS, max_size=3).map(tuple),
    st.none() | TEXTS,
    st.none() | ERRORS,
    st.none() | SOURCES,
    st.none() | st.builds(PatientKey, TEXTS, TEXTS),
)


def told(value: Any) -> Any:
    """Everything that a value says, errors by what they are and say."""
    if isinstance(value, VnaError):
        return type(value), value.message, value.fields
    if isinstance(value, IngestResult):
        return [told(getattr(value, one.name)) for one in fields(value)]
    return value


@given(st.lists(INSTANCES, max_size=4))
def test_instances_come_back_as_they_were(instances: list[ReceivedInstance]) -> None:
    descriptors = [one.octets.descriptor for one in instances]
    back = [one for one, spooled in read_instances(instances_form(instances), descriptors) if spooled]
    assert [one.octets.descriptor for one in back] == descriptors
    assert [(one.octets.size, one.octets.digest) for one in back] == [(one.octets.size, one.octets.digest) for one in instances]
    for one, other in zip(back, instances, strict=True):
        for name in ("source", "received_at", "transfer_syntax_uid", "sop_class_uid", "sop_instance_uid", "addressed_study"):
            assert getattr(one, name) == getattr(other, name)


@given(st.lists(RESULTS | ERRORS, max_size=4))
def test_results_come_back_as_they_were(results: list[IngestResult | VnaError]) -> None:
    assert list(map(told, read_results(results_form(results), len(results)))) == list(map(told, results))


def test_codes_tell_the_classes_of_the_tree_apart() -> None:
    assert len({one.code for one in CLASSES}) == len(CLASSES)


def test_what_is_no_plain_value_among_the_fields_of_an_error_is_told_as_text() -> None:
    [back] = read_results(results_form([OutOfResources("full", limit="data", at=datetime(2026, 1, 1, tzinfo=UTC))]), 1)
    assert isinstance(back, OutOfResources) and back.transient
    assert back.fields == {"limit": "data", "at": "2026-01-01 00:00:00+00:00"}


@given(
    st.binary(max_size=64)
    | st.recursive(
        VALUES, lambda below: st.lists(below, max_size=11) | st.dictionaries(TEXTS, below, max_size=2), max_leaves=30
    ).map(lambda value: json.dumps(value).encode())
)
def test_nothing_else_is_taken_for_it(form: bytes) -> None:
    with pytest.raises(Unreadable):
        read_results(form, 7)
    with pytest.raises(Unreadable):
        read_instances(form, [1000] * 7)


@pytest.mark.parametrize("form", [b"[" * 200_000, b"\xff", b"{}", b"[" + b"[1]," * 7 + b"]", b"null"])
def test_what_is_deep_or_of_another_kind_is_refused(form: bytes) -> None:
    with pytest.raises(Unreadable):
        read_results(form, 7)
    with pytest.raises(Unreadable):
        read_instances(form, [1000] * 7)


@pytest.mark.parametrize("count", [0, 2])
def test_another_number_of_results_is_none(count: int) -> None:
    with pytest.raises(Unreadable):
        read_results(results_form([Truncated("cut")]), count)
