"""QIDO-RS parameters become questions."""

from __future__ import annotations

import pytest

from vna_core.dicom.matching_keys import condition, tag_of
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.query import Between, Condition, Empty, Equals, InSequence, Level, Query, Wildcard
from vna_core.gateways.dicomweb.qido_query import parse_search

REQUEST = 0x00400275
NAME, ID, DATE, UID, MODALITIES, DATETIME = 0x00100010, 0x00100020, 0x00080020, 0x0020000D, 0x00080061, 0x0008002A


@pytest.mark.parametrize(
    ("tag", "value", "expected"),
    [
        (ID, "1234", Equals(ID, ("1234",))),
        (ID, "12,34", Equals(ID, ("12,34",))),
        (ID, "50%_", Equals(ID, ("50%_",))),
        (NAME, "Doe*", Wildcard(NAME, "Doe*")),
        (NAME, "D?e", Wildcard(NAME, "D?e")),
        (NAME, "*", None),
        (DATE, "*", None),
        (NAME, "", None),
        (UID, "1.2,1.3", Equals(UID, ("1.2", "1.3"))),
        (UID, "1.2\\1.3", Equals(UID, ("1.2", "1.3"))),
        (UID, "1.*", Equals(UID, ("1.*",))),
        (MODALITIES, "CT,MR", Equals(MODALITIES, ("CT", "MR"))),
        (DATE, "20240101", Equals(DATE, ("20240101",))),
        (DATE, "20240101-20240131", Between(DATE, "20240101", "20240131")),
        (DATE, "-20240131", Between(DATE, "", "20240131")),
        (DATE, "20240101-", Between(DATE, "20240101", "")),
        (DATETIME, "20240101120000-0500", Equals(DATETIME, ("20240101120000-0500",))),
        (DATETIME, "20240101120000-0500-20240102120000-0500", Between(DATETIME, "20240101120000-0500", "20240102120000-0500")),
    ],
)
def test_a_value_is_matched_by_its_representation(tag: int, value: str, expected: Condition | None) -> None:
    assert condition(tag, value) == expected


def test_keywords_and_tags_name_the_same_attribute() -> None:
    assert tag_of("PatientName") == tag_of("00100010") == NAME
    assert tag_of("patientname") == tag_of("0010001") == tag_of("Patient Name") == 0


def test_paging_is_bounded_by_the_largest_page() -> None:
    assert parse_search(Level.STUDY, [("limit", "20"), ("offset", "40")], [], 100).query == Query(Level.STUDY, (), 20, 40)
    assert parse_search(Level.STUDY, [("limit", "5000")], [], 100).query.limit == 100
    assert parse_search(Level.STUDY, [], [], 100).query.limit == 100
    assert parse_search(Level.STUDY, [("limit", "0")], [], 100).query.limit == 0


def test_fuzzy_matching_concerns_names_alone() -> None:
    request = parse_search(Level.STUDY, [("fuzzymatching", "true"), ("PatientName", "doe"), ("PatientID", "7")], [], 100)
    assert request.query.conditions == (Wildcard(NAME, "doe", fuzzy=True), Equals(ID, ("7",)))


def test_uids_of_the_path_come_first() -> None:
    request = parse_search(Level.SERIES, [("Modality", "CT")], [(UID, "1.2")], 100)
    assert request.query.conditions == (Equals(UID, ("1.2",)), Equals(0x00080060, ("CT",)))


def test_fields_to_include_are_lists_tags_and_all() -> None:
    request = parse_search(Level.STUDY, [("includefield", "PatientAge,00101020"), ("includefield", "Nonsense")], [], 100)
    assert request.include == {0x00101010, 0x00101020}
    assert (request.ignored, request.unknown) == ((), ("Nonsense",))
    assert parse_search(Level.STUDY, [("includefield", "all")], [], 100).everything


def test_attributes_of_one_sequence_are_asked_of_one_item() -> None:
    asked = [
        ("RequestAttributesSequence.ScheduledProcedureStepID", "1"),
        ("PatientID", "7"),
        ("00400275.00400008.00080100", "A*"),
        ("00400275.00400007", ""),
        ("ProcedureCodeSequence.CodeValue", "B"),
    ]
    request = parse_search(Level.SERIES, asked, [], 100)
    nested = InSequence(0x00400008, (Wildcard(0x00080100, "A*"),))
    assert request.query.conditions == (
        Equals(ID, ("7",)),
        InSequence(REQUEST, (Equals(0x00400009, ("1",)), nested)),
        InSequence(0x00081032, (Equals(0x00080100, ("B",)),)),
    )
    assert (request.ignored, request.include) == ((), {ID, REQUEST, 0x00081032})


@pytest.mark.parametrize("name", ["PatientID.StudyDate", "00091010.00400009"])
def test_a_path_through_no_sequence_is_ignored_and_said_so(name: str) -> None:
    request = parse_search(Level.SERIES, [(name, "1"), ("RequestAttributesSequence", "x"), ("00400275", "")], [], 100)
    assert request.ignored == (name, "RequestAttributesSequence")
    assert request.query.conditions == ()


def test_a_sequence_is_included_whole_whatever_of_it_is_named() -> None:
    named = "RequestAttributesSequence.ScheduledProcedureStepID,00081032,RequestAttributesSequence.Nothing"
    request = parse_search(Level.SERIES, [("includefield", named)], [], 100)
    assert request.include == {REQUEST, 0x00081032}
    assert request.unknown == ("RequestAttributesSequence.Nothing",)


@pytest.mark.parametrize(
    "parameters",
    [
        [("PatientIdd", "1")],
        [("limit", "-1")],
        [("limit", "1e3")],
        [("offset", "x")],
        [("fuzzymatching", "maybe")],
        [("StudyDate", "2024-01-31")],
        [("StudyDate", "today")],
        [("PatientID", "a\0b")],
        [("RequestAttributesSequence.Nothing", "1")],
        [("RequestAttributesSequence.", "1")],
        [(".".join(["00400275"] * 17), "1")],
        [("00400275." * 10_000, "1")],
        [("PatientID", "x" * 70_000)],
    ],
)
def test_what_cannot_be_meant_is_refused(parameters: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest):
        parse_search(Level.STUDY, parameters, [], 100)


def test_empty_values_are_matched_where_that_is_asked_for() -> None:
    asked = [("StudyDescription", '""'), ("RequestAttributesSequence.RequestedProcedureID", '""')]
    request = parse_search(Level.STUDY, [("emptyvaluematching", "true"), *asked], [], 100)
    assert request.query.conditions == (Empty(0x00081030), InSequence(REQUEST, (Empty(0x00401001),)))
    assert parse_search(Level.STUDY, asked, [], 100).query.conditions == ()


def test_multiple_values_are_matched_where_that_is_asked_for() -> None:
    asked = [("PatientID", "1\\2"), ("StudyDate", "20240101-20240131")]
    several = parse_search(Level.STUDY, [("multiplevaluematching", "true"), *asked], [], 100)
    assert several.query.conditions == (Equals(ID, ("1", "2")), Between(DATE, "20240101", "20240131"))
    assert parse_search(Level.STUDY, asked, [], 100).query.conditions[0] == Equals(ID, ("1\\2",))
    with pytest.raises(InvalidRequest):
        parse_search(Level.STUDY, [("multiplevaluematching", "perhaps")], [], 100)
