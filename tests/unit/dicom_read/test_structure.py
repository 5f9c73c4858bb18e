"""Sequences and items whose lengths, tags or delimiters are wrong: read where the octets on both sides decide, refused otherwise."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from tests.unit.dicom_read.reading import read, rules
from vna_core.dicom.elements import DataSet, ParsedOctets
from vna_core.dicom.tokenizer import tokenize
from vna_core.domain.errors import Malformed, Truncated, Unarchivable
from vna_core.testing.phantom_writer import UNDEFINED
from vna_core.testing.quirks.octets import BIG, IMPLICIT, Fields, Form, data_set, delimiter, element, header, item, tag_octets
from vna_core.testing.quirks.sheet import image, sheet

SEQUENCE, INNER = 0x00400275, 0x00081140
CODE_FIELDS: Fields = ((0x00080100, "SH", "T-D3000"), (0x00080102, "SH", "SRT"), (0x00080104, "LO", "Chest"))
CODE, BIG_CODE = data_set(CODE_FIELDS), data_set(CODE_FIELDS, BIG)
STEP = data_set(((0x00400007, "LO", "CT thorax"), (0x00400009, "SH", "STEP1")))
CODE_TAGS, STEP_TAGS = [0x00080100, 0x00080102, 0x00080104], [0x00400007, 0x00400009]
AFTER = element(0x00402017, "LO", "ORDER1") + element(0x00402400, "LT", "A comment")
AFTER_TAGS = [0x00402017, 0x00402400]


def sequence(value: bytes, lie: int = 0, tag: int = SEQUENCE) -> bytes:
    return header(tag, "SQ", len(value) + lie) + value


def undefined(value: bytes, tag: int = SEQUENCE) -> bytes:
    return header(tag, "SQ", UNDEFINED) + value


def reading(octets: bytes) -> ParsedOctets:
    return read(sheet("E10").part10() + octets)


def tags(one: DataSet) -> list[int]:
    return [each.tag for each in one.elements]


def items(parsed: ParsedOctets, tag: int = SEQUENCE) -> list[list[int]]:
    return [tags(one) for one in next(each.items or [] for each in parsed.data_set.elements if each.tag == tag)]


BOTH = item(CODE) + item(STEP)
DECIDED = {
    "sequence length too long": (sequence(BOTH, 8), {"E10"}),
    "sequence length too long by less than a header": (sequence(BOTH, 4), {"E10"}),
    "sequence length past the last octet": (sequence(BOTH, 0x10000), {"E10"}),
    "sequence length ends in the second item": (sequence(BOTH, -6), {"E10"}),
    "sequence length ends in the first item": (sequence(BOTH, -len(item(STEP)) - 6), {"E10"}),
    "sequence length ends after the first item": (sequence(BOTH, -len(item(STEP))), {"E10"}),
    "sequence length zero": (sequence(BOTH, -len(BOTH)), {"E10"}),
    "sequence length zero with a delimiter": (header(SEQUENCE, "SQ", 0) + BOTH + delimiter(), {"E10"}),
    "first item too short": (sequence(item(CODE, length=len(CODE) - 4) + item(STEP)), {"E11"}),
    "second item too short": (sequence(item(CODE) + item(STEP, length=len(STEP) - 4)), {"E11"}),
    "second item and sequence too short": (sequence(item(CODE) + item(STEP, length=len(STEP) - 4), -4), {"E10", "E11"}),
    "first item too long by a header": (sequence(item(CODE, length=len(CODE) + 8) + item(STEP)), {"E11"}),
    "first item too long by a bit": (sequence(item(CODE, length=len(CODE) + 4) + item(STEP)), {"E11"}),
    "second item too long": (sequence(item(CODE) + item(STEP, length=len(STEP) + 6)), {"E11"}),
    "second item too long in a sequence with delimiter": (
        undefined(item(CODE) + item(STEP, length=len(STEP) + 8) + delimiter()), {"E11"},
    ),
    "second item and sequence too long": (sequence(item(CODE) + item(STEP, length=len(STEP) + 6), 6), {"E10", "E11"}),
    "sequence delimiter missing": (undefined(BOTH), {"E14"}),
    "item delimiter missing": (undefined(item(CODE, undefined=True)[:-8] + item(STEP, undefined=True) + delimiter()), {"E14"}),
    "last item delimiter missing": (undefined(item(CODE) + item(STEP, undefined=True)[:-8] + delimiter()), {"E14"}),
    "item delimiter after an item with length": (sequence(item(CODE) + tag_octets(0xFFFEE00D) + bytes(4) + item(STEP)), {"E13"}),
    "second item tag damaged": (sequence(item(CODE) + b"\x3f\x3f\x00\x3f" + item(STEP)[4:]), {"E08"}),
    "both item tags damaged": (sequence(b"\xfe\xff\0\0" + item(CODE)[4:] + b"\xfe\xff\0\0" + item(STEP)[4:]), {"E08"}),
    "first item tag swapped": (sequence(b"\xff\xfe\xe0\0" + len(CODE).to_bytes(4, "big") + BIG_CODE + item(STEP)), {"E07"}),
}  # fmt: skip


@pytest.mark.parametrize("name", DECIDED)
def test_both_items_are_read_and_what_follows_stays_outside(name: str) -> None:
    octets, expected = DECIDED[name]
    parsed = reading(octets + AFTER)
    assert items(parsed) == [CODE_TAGS, STEP_TAGS]
    assert [tag for tag in tags(parsed.data_set) if tag > SEQUENCE] == AFTER_TAGS
    assert rules(parsed) == expected


@pytest.mark.parametrize("name", DECIDED)
def test_the_same_inside_an_item_of_another_sequence(name: str) -> None:
    octets, expected = DECIDED[name]
    for outer in (
        sequence(item(octets + AFTER), tag=0x0040A730),
        undefined(item(octets + AFTER, undefined=True) + delimiter(), 0x0040A730),
    ):
        parsed = reading(outer)
        found = next(each for each in parsed.data_set.elements if each.tag == 0x0040A730).items or []
        assert [tags(one) for one in found] == [[SEQUENCE, *AFTER_TAGS]]
        assert [tags(one) for one in found[0].elements[0].items or []] == [CODE_TAGS, STEP_TAGS]
        assert rules(parsed) == expected


UNDECIDED = {
    "sequence cut after its first item": sequence(BOTH)[: -len(item(STEP))],
    "sequence cut in an item": sequence(BOTH)[:-20],
    "item tag of another kind": sequence(b"\x12\x34\x56\x78" + item(CODE)[4:] + item(STEP)) + AFTER,
    "text where a sequence should be": header(SEQUENCE, "SQ", 10) + b"no item at" + AFTER,
    "item header lost": undefined(CODE + delimiter()) + AFTER,
    "item that fits neither way": sequence(item(CODE, length=len(CODE) + 300), 20) + AFTER,
    "stray item of elements that do not go on": element(0x00402017, "LO", "ORDER1") + item(CODE) + AFTER,
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_the_octets_do_not_decide_is_refused(name: str) -> None:
    with pytest.raises((Malformed, Truncated)):
        reading(UNDECIDED[name])


def test_a_sequence_under_unknown_in_the_other_byte_order() -> None:
    big = Form(explicit=False, big_endian=True)
    value = item(data_set(((0x00080100, "SH", "T-D3000"),), big), big)
    start = image("E07").put(0x00E10010, "LO", "ELSCINT1")
    for rule, form, syntax in (("E01", Form(), "1.2.840.10008.1.2.1"), ("E06", IMPLICIT, "1.2.840.10008.1.2")):
        parsed = read(start.put(0x00E11042, "", header(0x00E11042, "UN", len(value), form) + value).part10(syntax, form))
        assert items(parsed, 0x00E11042) == [[0x00080100]]
        assert rules(parsed) == {rule, "E07"}


def test_private_elements_whose_implicit_length_looks_like_a_representation() -> None:
    blob = bytes(0x4F4C)
    octets = element(0x00410010, "LO", "ACME 1.1", IMPLICIT) + element(0x00411001, "", blob_of(0x00411001, blob))
    parsed = reading(octets + element(0x00420010, "LO", "A title"))
    found = {one.tag: one for one in parsed.data_set.elements}
    assert found[0x00411001].length == len(blob)
    assert found[0x00420010].length == 8


def blob_of(tag: int, value: bytes) -> bytes:
    return header(tag, "", len(value), IMPLICIT) + value


def test_13_octets_written_for_10_before_a_header_that_could_be_one() -> None:
    start = image("E19").put(0x00081010, "", header(0x00081010, "SH", 13, IMPLICIT) + b"CT SCANNER").put(0x00081030, "LO", "")
    parsed = read(start.part10("1.2.840.10008.1.2", IMPLICIT))
    assert rules(parsed) == {"E19"}
    assert 0x00081030 in tags(parsed.data_set)


def test_a_code_string_where_the_standard_has_a_sequence_today() -> None:
    parsed = read(sheet("E24").put(0x0040A170, "CS", "DIAGNOSTIC").part10("1.2.840.10008.1.2", IMPLICIT))
    assert parsed.data_set.elements[-1][:2] == (0x0040A170, "CS")


@pytest.mark.parametrize("before", [b"\x20", b"\r\n", b"PREFIX\0"])
def test_a_bare_data_set_after_less_than_a_header_of_octets(before: bytes) -> None:
    start = image("F26")
    for form in (Form(), IMPLICIT):
        parsed = read(before + start.body(form))
        assert rules(parsed) == {"F26"}
        assert tags(parsed.data_set) == [one[0] for one in start.fields]


def test_a_lost_first_element_is_not_taken_for_octets_before() -> None:
    with pytest.raises(Unarchivable):
        read(b"\x07\x13" + image("F26").body()[2:])


@pytest.mark.parametrize("form", [Form(), IMPLICIT])
def test_an_unknown_first_element_after_file_meta_information(form: Form) -> None:
    start = image("E33").put(0x00030010, "LO", "ILLEGAL")
    parsed = read(start.part10("1.2.840.10008.1.2.1" if form.explicit else "1.2.840.10008.1.2", form))
    assert tags(parsed.data_set)[0] == 0x00030010
    assert rules(parsed) == set()


def test_file_meta_information_goes_on_after_an_element_of_another_group() -> None:
    start = image("F28")
    octets = start.part10().replace(tag_octets(0x00020003), tag_octets(0x00010003))
    parsed = read(octets)
    assert parsed.declared_transfer_syntax_uid == "1.2.840.10008.1.2.1"
    assert tags(parsed.data_set)[0] == 0x00080005


ALTERNATING = {
    "items too short": sequence(item(CODE, length=len(CODE) - 4)),
    "items damaged": sequence(b"\x3f\x3f\x00\x3f" + item(CODE)[4:]),
    "items swapped": sequence(b"\xff\xfe\xe0\0" + len(BIG_CODE).to_bytes(4, "big") + BIG_CODE),
    "stray delimiters": CODE + delimiter() * 2,
    "lengths 6 for 4": (header(0x00186018, "UL", 6) + b"\x11\0\0\0" + element(0x00186020, "SL", 1)),
    "blobs like sequences": header(0x00091030, "UN", 24) + item(b"\x08\0\0\x01SH\x90\0" + b"\x5a" * 8),
    "zeros": bytes(64),
    "empty items": header(SEQUENCE, "SQ", 0) + item(b"") * 3,
}


@pytest.mark.parametrize("name", ALTERNATING)
def test_damage_everywhere_takes_time_in_proportion(name: str) -> None:
    one = ALTERNATING[name]
    octets = one * ((1 << 19) // len(one)) + b"\1"
    began = time.process_time()
    with suppress(Unarchivable):
        tokenize(octets, 0, len(octets), explicit=name != "zeros", little_endian=True)
    assert time.process_time() - began < 2.0
