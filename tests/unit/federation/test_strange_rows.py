"""Rows of members are what somebody else wrote: whatever stands in one, it costs neither the answer nor another member's rows."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vna_core.configuration.federation import MemberSettings
from vna_core.dicom.answers import matches
from vna_core.dicom.json_elements import is_element
from vna_core.domain.query import Empty, Equals, InSequence, Level, Query, Wildcard
from vna_core.federation.left_out import LeftOut
from vna_core.federation.members import Member
from vna_core.federation.patients import patients_of
from vna_core.federation.rows import text
from vna_core.federation.union import Union
from vna_core.gateways.dicomweb.federated import BASE, written
from vna_core.gateways.federated_rows import described, dimse_values

TAGS = (
    *("0020000D", "0020000E", "00080018", "00100010", "00100020", "00100021", "00100030", "00080061", "00080056", "00081190"),
    *(
        "00201206",
        "00201208",
        "00200013",
        "00200011",
        "00081030",
        "00400275",
        "00081032",
        "00080100",
        "0020000d",
        "",
        "zz",
        "PatientID",
    ),
)
INSIDE = (Equals(0x00080100, ("A",)), Wildcard(0x00080104, "H*"), Empty(0x00080102))
NOT_ASKED = (
    Empty(0x00100030),
    Empty(0x00100010),
    InSequence(0x00081032, INSIDE),
    InSequence(0x00400275, (InSequence(0x00400008, INSIDE),)),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.sampled_from((*TAGS, "vr", "Value", "Alphabetic")), below, max_size=3)
    ),
    max_leaves=6,
)
elements = (
    st.fixed_dictionaries({}, optional={"vr": st.sampled_from(("UI", "PN", "LO", "IS", "SQ")) | anything, "Value": anything})
    | anything
)
rows = st.dictionaries(st.sampled_from(TAGS), elements, max_size=6)
whole = st.sampled_from(({}, {"0020000D": {"vr": "UI", "Value": ["1.2"]}, "0020000E": {"vr": "UI", "Value": ["1.3"]}}))


def member(number: int) -> Member:
    return Member(f"m{number}", None, MemberSettings(url="test://", issuer="A"), None, None, None)  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(whole, rows), max_size=3), st.sampled_from((Level.STUDY, Level.SERIES)))
def test_a_strange_row_costs_no_answer(told: list[tuple[dict[str, Any], dict[str, Any]]], level: Level) -> None:
    union = Union(level, lambda name: int(name[1:]))
    honest = {"0020000D": {"vr": "UI", "Value": ["1.2"]}, "0020000E": {"vr": "UI", "Value": ["1.3"]}}
    honest |= {"00100020": {"vr": "LO", "Value": ["4711"]}, "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe"}]}}
    union.add(member(0), honest)
    left_out = LeftOut.of(Query(level, NOT_ASKED))
    for number, (strange, more) in enumerate(told, 1):
        row = {**more, **strange}
        assert left_out.lets(row) in (True, False)
        assert matches(row, NOT_ASKED) in (True, False)
        union.add(member(number), row)
    made = list(union.rows())
    assert [one for one in made if "m0" in one.sources and text(one.attributes, "00100020") == "4711"]
    for one in made:
        row = described(one, "VNA")
        answered = json.loads(written(row, level).replace(BASE, ""))
        assert all(is_element(tag, element) for tag, element in answered.items())
        assert all(isinstance(value, str) for values in dimse_values(row).values() for value in values)
    for one in patients_of(made):
        assert all(is_element(tag, element) for tag, element in described(one, "VNA").items())
