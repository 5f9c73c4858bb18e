"""Sequence matching: as plain matching over the items says, at its level, within the scope, and never silently in part."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.catalogue.catalogue_entries import changed, entry, found
from tests.unit.catalogue.naive_matching import IN_ITEMS, in_items
from vna_core.catalogue import Catalogue, sequence_matching
from vna_core.catalogue.sequence_matching import SequenceReader
from vna_core.domain.access import EVERYTHING
from vna_core.domain.errors import InvalidRequest, LimitExceeded
from vna_core.domain.indexed_attributes import INDEXED
from vna_core.domain.instance import IndexEntry
from vna_core.domain.query import Between, Condition, Empty, Equals, InSequence, Level, OfValues, Query, Wildcard

REQUEST, PROCEDURE, PROTOCOL, VIEW = 0x00400275, 0x00081032, 0x00400008, 0x00540220
STEP, WHAT, DAY, TIME, WHO, CODE = 0x00400009, 0x00400007, 0x00400002, 0x00400003, 0x00400006, 0x00080100
ISSUER = 0x00100021

text = st.text("aAb1%_*?^ é漢", max_size=4)
dates = st.sampled_from(["", "20250101", "20250115", "20260101"])
times = st.sampled_from(["", "00", "1230", "123000"])
names = st.sampled_from(["", "Doe^J", "Döe", "=漢", "DOE^J=漢"])
codes = st.fixed_dictionaries({}, optional={CODE: text.map(lambda value: (value,))})
items = st.fixed_dictionaries(
    {},
    optional={
        STEP: text.map(lambda value: (value,)),
        WHAT: text.map(lambda value: (value,)),
        DAY: dates.map(lambda value: (value,)),
        TIME: times.map(lambda value: (value,)),
        WHO: names.map(lambda value: (value,)),
        PROTOCOL: st.lists(codes, max_size=2),
    },
)
headers = st.fixed_dictionaries({}, optional={tag: st.lists(items, max_size=3) for tag in (REQUEST, PROCEDURE)})


def _of(tag: int, values: st.SearchStrategy[str]) -> st.SearchStrategy[OfValues]:
    equals = st.lists(values, min_size=1, max_size=2).map(lambda some: Equals(tag, tuple(some)))
    return st.one_of(equals, st.just(Empty(tag)))


plain = st.one_of(
    _of(STEP, text),
    _of(WHAT, text),
    _of(DAY, dates),
    _of(TIME, times),
    _of(WHO, names),
    st.builds(Wildcard, st.sampled_from([STEP, WHAT]), text),
    st.builds(Wildcard, st.just(WHO), st.sampled_from(["d*", "?oe^*", "*=漢", "*"])),
    st.builds(Between, st.just(DAY), dates, dates),
    st.builds(Between, st.just(TIME), times, times),
)
nested = st.builds(
    InSequence, st.just(PROTOCOL), st.lists(st.one_of(_of(CODE, text), st.builds(Wildcard, st.just(CODE), text)), min_size=1, max_size=2).map(tuple)
)  # fmt: skip
asked = st.builds(
    InSequence,
    st.sampled_from([REQUEST, PROCEDURE]),
    st.lists(st.one_of(plain, nested), min_size=1, max_size=3).map(tuple),
)
_numbers = itertools.count()


def as_json(values: Mapping[int, object]) -> dict[str, object]:
    """A data set as DICOM JSON; names as their component groups."""
    made: dict[str, object] = {}
    for tag, value in values.items():
        if isinstance(value, list):
            made[f"{tag:08X}"] = {"vr": "SQ", "Value": [as_json(item) for item in value]}
            continue
        assert isinstance(value, tuple)
        vr = IN_ITEMS[tag] if tag in IN_ITEMS else INDEXED[tag].vr
        groups = ("Alphabetic", "Ideographic", "Phonetic")
        texts = [
            {group: part for group, part in zip(groups, one.split("="), strict=False) if part} or None if vr == "PN" else one or None
            for one in value
        ]  # fmt: skip
        made[f"{tag:08X}"] = {"vr": vr, "Value": texts} if any(value) else {"vr": vr}
    return made


def held(uid: str, header: Mapping[int, object], **fields: str) -> IndexEntry:
    """An entry with sequences in its header."""
    return changed(entry(uid, **fields), json_header=json.dumps(as_json(header)).encode())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(headers, min_size=1, max_size=4), st.lists(st.lists(asked, min_size=1, max_size=2), min_size=1, max_size=8))
def test_it_agrees_with_plain_matching(
    catalogue: Catalogue, archived: list[dict[int, object]], questions: list[list[InSequence]]
) -> None:
    mark = f"seq{next(_numbers)}"
    plainly = {f"{mark}.{number}": header for number, header in enumerate(archived)}
    for uid, header in plainly.items():
        catalogue.record(held(uid, header, series=uid, study=uid, patient="P", issuer=uid))
    issuers = Equals(ISSUER, tuple(plainly))
    for question in questions:
        expected = sorted(uid for uid, header in plainly.items() if all(in_items(one, header) for one in question))  # type: ignore[arg-type]
        for level in (Level.SERIES, Level.IMAGE):
            answer = catalogue.search(Query(level, (*question, issuers)))
            assert sorted(match.patient.issuer for match in answer.matches) == expected, (level, question)
            assert answer.unmatched == ()


def steps(number: int) -> dict[int, object]:
    return {REQUEST: [{STEP: (f"S{number}",), WHAT: (f"Scan {number % 2}",)}, {STEP: ("COMMON",)}]}


STEP_3 = InSequence(REQUEST, (Equals(STEP, ("S3",)),))


def test_all_keys_are_asked_of_one_item(catalogue: Catalogue) -> None:
    catalogue.record(held("1.1", steps(3)))
    apart = InSequence(REQUEST, (Equals(STEP, ("COMMON",)), Equals(WHAT, ("Scan 1",))))
    together = InSequence(REQUEST, (Equals(STEP, ("S3",)), Equals(WHAT, ("Scan 1",))))
    assert [len(found(catalogue, Level.SERIES, one)) for one in (apart, together)] == [0, 1]


def test_pages_are_cut_from_what_matches(catalogue: Catalogue) -> None:
    for number in range(250):
        uid = f"1.2.{number}"
        header = steps(number % 10) | {PROCEDURE: [{CODE: (f"C{number % 10}",)}]}
        catalogue.record(held(f"{uid}.1.1", header, series=f"{uid}.1", study=uid, study_date=f"2025{number % 12 + 1:02}01"))
    condition = InSequence(PROCEDURE, (Equals(CODE, ("C3",)),))
    whole = [match.pk for match in found(catalogue, Level.STUDY, condition)]
    assert len(whole) == len(set(whole)) == 25
    paged = [
        match.pk for start in range(0, 30, 7) for match in catalogue.search(Query(Level.STUDY, (condition,), 7, start)).matches
    ]
    assert paged == whole
    after, walked = "", []
    while True:
        answer = catalogue.search(Query(Level.STUDY, (condition,), 7, after=after))
        walked += [match.pk for match in answer.matches]
        after = answer.cursor
        if not after:
            break
    assert walked == whole


@pytest.mark.parametrize(
    ("sequence", "levels"),
    [
        (0x00101002, {Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE}),
        (PROCEDURE, {Level.STUDY, Level.SERIES, Level.IMAGE}),
        (REQUEST, {Level.SERIES, Level.IMAGE}),
        (VIEW, {Level.IMAGE}),
        (0x00091010, set()),
    ],
)
def test_a_sequence_is_matched_at_its_level_and_below(catalogue: Catalogue, sequence: int, levels: set[Level]) -> None:
    catalogue.record(held("1.1", {sequence: [{CODE: ("A",)}]}))
    for level in Level:
        for value in ("A", "B"):
            answer = catalogue.search(Query(level, (InSequence(sequence, (Equals(CODE, (value,)),)),)))
            assert answer.unmatched == (() if level in levels else (sequence,))
            assert len(list(answer.matches)) == (0 if value == "B" and level in levels else 1)


def test_a_study_is_looked_at_in_each_of_its_series(catalogue: Catalogue) -> None:
    catalogue.record(held("1.1.1", {}, series="1.1"))
    catalogue.record(held("1.2.1", {PROCEDURE: [{CODE: ("A",)}]}, series="1.2"))
    catalogue.record(held("1.2.2", {}, series="1.2"))
    condition = InSequence(PROCEDURE, (Equals(CODE, ("A",)),))
    assert len(found(catalogue, Level.STUDY, condition)) == 1
    assert len(found(catalogue, Level.IMAGE, condition)) == 3
    assert found(catalogue, Level.STUDY, InSequence(PROCEDURE, (Equals(CODE, ("B",)),))) == []


def test_a_question_for_too_many_headers_fails_and_does_not_answer_in_part(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        catalogue.record(held(f"1.{number}.1", steps(number), series=f"1.{number}", study=f"1.{number}"))
    monkeypatch.setattr(sequence_matching, "READ_LIMIT", 600)
    with pytest.raises(LimitExceeded, match="Narrow the query"):
        found(catalogue, Level.SERIES, STEP_3)
    with pytest.raises(LimitExceeded):
        catalogue.search(Query(Level.SERIES, (STEP_3,), 5))
    narrowed = found(catalogue, Level.SERIES, STEP_3, Equals(0x0020000D, ("1.3",)))
    assert len(narrowed) == 1


def test_items_are_told_by_match_as_far_as_they_fulfil(catalogue: Catalogue) -> None:
    catalogue.record(held("1.1", steps(3) | {PROCEDURE: [{CODE: ("A",)}], VIEW: [{CODE: ("V",)}]}))
    (match,) = found(catalogue, Level.SERIES)
    wanted = {REQUEST: STEP_3, PROCEDURE: None, VIEW: None}
    for whole, steps_told in ((False, ["S3"]), (True, ["S3", "COMMON"])):
        ((told, found_items),) = catalogue.sequences.told([match], wanted, EVERYTHING, whole=whole)
        assert told is match
        values = {tag: [item.get("00400009", item.get("00080100")) for item in items] for tag, items in found_items.items()}
        assert values == {
            REQUEST: [{"vr": "SH", "Value": [one]} for one in steps_told],
            PROCEDURE: [{"vr": "SH", "Value": ["A"]}],
        }


def test_the_header_that_fulfils_is_told_and_judged_by_what_is_written(catalogue: Catalogue) -> None:
    """A decimal string is compared as it is written, and told as a number."""
    weight = 0x00101030
    for series, value in (("1.1", "70.0"), ("1.2", "70.50")):
        header = {f"{PROCEDURE:08X}": {"vr": "SQ", "Value": [{f"{weight:08X}": {"vr": "DS", "Value": [float(value)]}}]}}
        octets = json.dumps(header).replace(str(float(value)), value).encode()
        catalogue.record(changed(entry(f"{series}.1", series=series), json_header=octets))
    condition = InSequence(PROCEDURE, (Equals(weight, ("70.50",)),))
    (match,) = found(catalogue, Level.STUDY, condition)
    for whole, value in ((False, "70.50"), (True, 70.5)):
        ((_, told),) = catalogue.sequences.told([match], {PROCEDURE: condition}, EVERYTHING, whole=whole)
        assert told == {PROCEDURE: [{f"{weight:08X}": {"vr": "DS", "Value": [value]}}]}


def test_so_many_are_told_at_once_as_there_is_room_for(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        series = f"1.{number}"
        catalogue.record(held(f"{series}.1", steps(number), series=series))
    catalogue.record(held("1.20.1", {REQUEST: [{STEP: (f"{number}",)} for number in range(40)]}, series="1.20"))
    rows = found(catalogue, Level.SERIES)

    def told(wanted: dict[int, InSequence | None]) -> list[int]:
        answered = list(catalogue.sequences.told(rows, wanted, EVERYTHING, whole=True))
        assert [match for match, _ in answered] == rows
        return [len(items.get(REQUEST, ())) for _, items in answered]

    assert told({REQUEST: None}) == [2] * 20 + [40]
    whole = len(json.dumps(list(catalogue.sequences.told(rows[-1:], {REQUEST: None}, EVERYTHING, whole=True))[0][1][REQUEST]))
    monkeypatch.setattr(sequence_matching, "ITEMS_LIMIT", whole)
    at_once: list[int] = []
    owners_of = SequenceReader.owners

    def owners(reader: SequenceReader, level: Level, above: Level, keys: Sequence[int]) -> dict[int, int]:
        at_once.append(len(keys))
        return owners_of(reader, level, above, keys)

    monkeypatch.setattr(SequenceReader, "owners", owners)
    assert told({REQUEST: None}) == [2] * 20 + [40]
    assert at_once[:2] == [21, 10] and at_once[-1] == 1, "the piece is halved until it fits"
    monkeypatch.setattr(sequence_matching, "ITEMS_LIMIT", whole - 1)
    with pytest.raises(LimitExceeded, match="fewer sequences"):
        told({REQUEST: None})
    assert told({REQUEST: STEP_3})[:4] == [0, 0, 0, 2]


def test_hostile_keys_are_refused_or_answered(catalogue: Catalogue) -> None:
    deep: Condition = Equals(CODE, ("A",))
    for _ in range(16):
        deep = InSequence(REQUEST, (deep,))
    catalogue.record(held("1.1", steps(1)))
    assert found(catalogue, Level.SERIES, deep) == []
    with pytest.raises(InvalidRequest):
        found(catalogue, Level.SERIES, InSequence(REQUEST, (Wildcard(STEP, "a*" * 200),)))
    with pytest.raises(InvalidRequest):
        found(catalogue, Level.SERIES, InSequence(REQUEST, tuple(Equals(STEP, (str(n),)) for n in range(300))))


def test_a_header_as_deep_as_may_be_kept_is_read(catalogue: Catalogue) -> None:
    deepest: dict[int, object] = {CODE: ("A",)}
    for _ in range(255):
        deepest = {VIEW: [deepest]}
    catalogue.record(held("1.1", deepest | steps(3)))
    assert len(found(catalogue, Level.SERIES, STEP_3)) == 1
