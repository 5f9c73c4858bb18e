"""Identifiers of C-FIND: keys in sequences as conditions, and items as they go back; whatever the keys hold, the answer is one or an error."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from vna_core.dicom.json_elements import is_element
from vna_core.dicom.matching_keys import Manner
from vna_core.dicom.network.identifier import Identifier, decode_identifier, encode_identifier
from vna_core.dicom.network.sequence_items import item_of, json_of
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.query import Empty, Equals, InSequence, Wildcard
from vna_core.gateways.dimse.find import keys_of

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
REQUEST, STEP, PROTOCOL, CODE = 0x00400275, 0x00400009, 0x00400008, 0x00080100
PLAIN = Manner()


def one_item(tag: int, item: Identifier) -> Identifier:
    return Identifier({}, {tag: (item,)})


def test_keys_of_one_item_are_conditions_on_the_sequence() -> None:
    asked = one_item(REQUEST, Identifier({STEP: ("S*",)}, {PROTOCOL: (Identifier({CODE: ("A",)}),)}))
    keys = keys_of(asked, PLAIN)
    assert keys.conditions == (InSequence(REQUEST, (Wildcard(STEP, "S*"), InSequence(PROTOCOL, (Equals(CODE, ("A",)),)))),)
    assert keys.ignored == frozenset()
    assert keys.in_items(asked) == {REQUEST: keys.conditions[0]}


@pytest.mark.parametrize("items", [(), (Identifier({}),), (Identifier({STEP: ()}),)], ids=["none", "empty", "without a value"])
def test_a_sequence_without_values_matches_everything(items: tuple[Identifier, ...]) -> None:
    keys = keys_of(Identifier({}, {REQUEST: items}), PLAIN)
    assert (keys.conditions, keys.ignored) == ((), frozenset())


def test_two_items_are_no_key_and_are_told() -> None:
    items = (Identifier({STEP: ("1",)}), Identifier({STEP: ("2",)}))
    keys = keys_of(Identifier({}, {REQUEST: items}), PLAIN)
    assert (keys.conditions, keys.ignored) == ((), {REQUEST})


def test_quotation_marks_are_empty_values_only_where_that_was_agreed_on() -> None:
    asked = one_item(REQUEST, Identifier({STEP: ('""',)}))
    assert keys_of(asked, Manner(empty=True)).conditions == (InSequence(REQUEST, (Empty(STEP),)),)
    assert (keys_of(asked, PLAIN).conditions, keys_of(asked, PLAIN).ignored) == ((), {REQUEST})


def test_sequences_deeper_than_may_be_are_refused() -> None:
    item = Identifier({STEP: ("1",)})
    for _ in range(15):
        item = one_item(REQUEST, item)
    octets = encode_identifier({}, EXPLICIT, item.items)
    assert len(keys_of(decode_identifier(octets, EXPLICIT), PLAIN).conditions) == 1
    for _ in range(40):
        item = one_item(REQUEST, item)
    with pytest.raises(InvalidRequest):
        decode_identifier(encode_identifier({}, EXPLICIT, item.items), EXPLICIT)


ITEM = {
    "00400009": {"vr": "SH", "Value": ["S1"]},
    "00400006": {"vr": "PN", "Value": [{"Alphabetic": "Müller^J", "Ideographic": "山田"}]},
    "00400008": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["C1"]}, "00080104": {"vr": "LO"}}, {}]},
    "00280010": {"vr": "US", "Value": ["512"]},
    "00189073": {"vr": "FD", "Value": ["1.5"]},
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00420011": {"vr": "OB", "InlineBinary": "AAAA"},
    "00091010": {"vr": "LO", "Value": ["private"]},
}


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_whole_item_goes_back_as_it_is_kept(syntax: str) -> None:
    octets = encode_identifier({0x00100020: ("7",)}, syntax, {REQUEST: [item_of(ITEM)]})
    answer = decode_identifier(octets, syntax)
    assert answer.values[0x00080005] == ("ISO_IR 192",)
    (item,) = answer.items[REQUEST]
    assert item.values == {
        0x00280010: ("512",),
        0x00400006: ("Müller^J=山田",),
        STEP: ("S1",),
        0x00189073: ("1.5",),
    }
    assert [below.values for below in item.items[PROTOCOL]] == [{CODE: ("C1",), 0x00080104: ()}, {}]
    independent = dcmread(BytesIO(octets), force=True)
    [read_back] = independent.RequestAttributesSequence
    assert (read_back.Rows, read_back.AcquisitionDuration) == (512, 1.5)
    assert read_back.ScheduledProtocolCodeSequence[0].CodeValue == "C1"


def test_an_item_goes_back_with_the_keys_that_were_asked_for() -> None:
    keys = Identifier({STEP: ("S*",), 0x00400007: ()}, {PROTOCOL: (Identifier({CODE: ()}),)})
    item = item_of(ITEM, keys)
    assert item.values == {STEP: ("S1",), 0x00400007: ()}
    assert [below.values for below in item.items[PROTOCOL]] == [{CODE: ("C1",)}, {CODE: ()}]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("length", [65_534, 65_535, 65_536, 200_000])
def test_a_value_too_long_for_its_representation_goes_back_whole(syntax: str, length: int) -> None:
    octets = encode_identifier({}, syntax, {REQUEST: [item_of({"00400009": {"vr": "SH", "Value": ["S" * length]}})]})
    (item,) = decode_identifier(octets, syntax).items[REQUEST]
    assert item.values == {STEP: ("S" * length,)}
    (independent,) = dcmread(BytesIO(octets), force=True).RequestAttributesSequence
    is_unknown = syntax == EXPLICIT and length > 65_534
    assert ("UN" if is_unknown else "SH" if syntax == EXPLICIT else None) == independent.get_item(STEP).VR


values = st.one_of(
    st.none(), st.text(max_size=8), st.integers(), st.dictionaries(st.sampled_from(["00080100", "00091010"]), st.text(max_size=4))
)
elements = st.fixed_dictionaries(
    {}, optional={"vr": st.sampled_from(["SH", "FD", "US", "AT", "SQ", "PN"]), "Value": st.lists(values, max_size=3)}
)
tags = st.sampled_from(["00400009", "00189073", "00280010", "00280009", "00400006", "00080100", "00091010"])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(tags, elements, max_size=4))
def test_whatever_a_header_says_of_an_item_can_be_sent(item: dict[str, object]) -> None:
    for syntax in (IMPLICIT, EXPLICIT):
        octets = encode_identifier({}, syntax, {REQUEST: [item_of(item)]})
        assert len(decode_identifier(octets, syntax).items[REQUEST]) == 1


@pytest.mark.parametrize("text", ["\u00b2", "--5", "5-", "", "9" * 5000, "70000", "1.5"], ids=range(7))
def test_a_number_that_does_not_fit_is_left_out_of_what_goes_back(text: str) -> None:
    rows = 0x00280010
    octets = encode_identifier({rows: (text, "512")}, EXPLICIT)
    assert decode_identifier(octets, EXPLICIT).values[rows] == ("512",)


def test_an_answer_is_told_in_json_without_what_says_nothing() -> None:
    item = Identifier(
        {STEP: ("S1",), 0x00081030: (), 0x00091001: ("private",), 0x00080005: ("ISO_IR 192",), 0x00420011: ("octets",)},
        {PROTOCOL: (Identifier({CODE: ("A",), 0x0040A30A: ("1.50",)}),), 0x00081140: ()},
    )
    answer = Identifier({0x0020000E: ("1.2",)}, {REQUEST: (item, Identifier({})), 0x00081032: (), 0x00091002: (item,)})
    inner = {"00080100": {"vr": "SH", "Value": ["A"]}, "0040A30A": {"vr": "DS", "Value": [1.5]}}
    told = {
        "00400009": {"vr": "SH", "Value": ["S1"]},
        "00081030": {"vr": "LO"},
        "00400008": {"vr": "SQ", "Value": [inner]},
    }
    assert json_of(answer) == {"0020000E": {"vr": "UI", "Value": ["1.2"]}, "00400275": {"vr": "SQ", "Value": [told, {}]}}
    assert all(is_element(tag, element) for tag, element in json_of(answer).items())
