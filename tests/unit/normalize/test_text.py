"""Text in every character set becomes the same characters in UTF-8 under one declaration, at every level."""

from __future__ import annotations

import io
import json

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.normalize.handmade import (
    assert_reversible_and_stable,
    data_set,
    element,
    file,
    identification,
    item,
    noticed,
    offer,
    rules,
    sequence,
    stored,
)
from vna_core.domain.instance import CanonicalInstance

JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def declared(name: bytes, *elements: bytes) -> bytes:
    even = name + b" " * (len(name) & 1)
    return file(element(0x00080005, "CS", even) + identification(extra=b"".join(elements)))


def text(tag: int, vr: str, raw: bytes) -> bytes:
    return element(tag, vr, raw + b" " * (len(raw) & 1))


def read(canonical: CanonicalInstance) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(stored(canonical)))


def utf_8_name(canonical: CanonicalInstance) -> str:
    ds = read(canonical)
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert ds[0x00100010].value.original_string.decode("utf-8").rstrip(" ") == str(ds.PatientName)
    return str(ds.PatientName)


CASES = [
    ("N04", b"ISO_IR 100", "Müller^Jürgen".encode("latin-1"), "Müller^Jürgen"),
    ("N04", b"ISO_IR 101", "Wałęsa".encode("iso8859-2"), "Wałęsa"),
    ("N04", b"ISO_IR 144", "Люкceмбypг".encode("iso8859-5"), "Люкceмбypг"),
    ("N04", b"ISO_IR 126", "Διονυσιος".encode("iso8859-7"), "Διονυσιος"),
    ("N04", b"ISO_IR 127", "قباني^لنزار".encode("iso8859-6"), "قباني^لنزار"),
    ("N04", b"ISO_IR 138", "שרון^דבורה".encode("iso8859-8"), "שרון^דבורה"),
    ("N04", b"GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
    ("N04", b"GBK", "Wang=王^小东".encode("gbk"), "Wang=王^小东"),
    (
        "N04",
        b"\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        JAPANESE,
    ),
    (
        "N04",
        b"ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
    ),
    ("N04", b"\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong^Gildong=洪^吉洞"),
    ("T01", b"ISO-IR 100", "Müller".encode("latin-1"), "Müller"),
    ("T01", b"UTF8", "Müller".encode(), "Müller"),
    ("T01", b"ISO IR 192", "Müller=山".encode(), "Müller=山"),
    ("T02", b"", "Müller".encode(), "Müller"),
    ("T03", b"ISO_IR 100", "Müller".encode(), "Müller"),
    ("T05", b"ISO_IR 13\\ISO 2022 IR 87", b"\xd4\xcf\xc0\xde=\x1b$B;3ED\x1b(J", "ﾔﾏﾀﾞ=山田"),
    ("T05", b"ISO_IR 149", b"Hong=\xfb\xf3", "Hong=洪"),
    ("T07", b"ISO_IR 192\\ISO 2022 IR 87", "Müller=山".encode(), "Müller=山"),
]


@pytest.mark.parametrize(("rule", "name", "raw", "expected"), CASES)
def test_a_name_in_any_character_set_is_the_same_name_in_utf_8(rule: str, name: bytes, raw: bytes, expected: str) -> None:
    octets = declared(name, text(0x00100010, "PN", raw))
    canonical = offer(octets)
    assert utf_8_name(canonical) == expected
    assert rule in rules(canonical)
    name_in_json = json.loads(canonical.json_header)["00100010"]["Value"][0]
    assert "=".join(name_in_json.values()) == expected
    assert_reversible_and_stable(octets, canonical)


@pytest.mark.parametrize("name", [b"ISO_IR 100", b"\\ISO 2022 IR 87", b"ISO_IR 192", b""])
def test_ascii_text_keeps_the_set_that_is_declared(name: bytes) -> None:
    octets = declared(name, text(0x00100010, "PN", b"Doe^Jane"))
    assert rules(offer(octets)) == []
    assert data_set(offer(octets)) == octets[octets.index(b"DICM") + 4 :][-len(data_set(offer(octets))) :]


@pytest.mark.parametrize("name", [b"ISO-IR 100", b"LATIN1", b"ISO_IR 192\\ISO 2022 IR 100"])
def test_a_wrong_declaration_is_corrected_even_over_ascii(name: bytes) -> None:
    octets = declared(name, text(0x00100010, "PN", b"Doe^Jane"))
    assert utf_8_name(offer(octets)) == "Doe^Jane"
    assert_reversible_and_stable(octets, offer(octets))


def test_the_declaration_before_stands_in_the_original_attributes() -> None:
    ds = read(offer(declared(b"ISO_IR 100", text(0x00100010, "PN", "Müller".encode("latin-1")))))
    assert ds.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].SpecificCharacterSet == "ISO_IR 100"
    ds = read(offer(declared(b"ISO-IR 100", text(0x00100010, "PN", "Müller".encode("latin-1")))))
    (before,) = ds.OriginalAttributesSequence[0].NonconformingModifiedAttributesSequence
    assert (before.SelectorAttribute, before.NonconformingDataElementValue) == (0x00080005, b"ISO-IR 100")


def test_items_with_sets_of_their_own_come_under_the_one_declaration() -> None:
    russian = element(0x00080005, "CS", b"ISO_IR 144") + text(0x00081030, "LO", "Люкceмбypг".encode("iso8859-5"))
    inherited = text(0x00081030, "LO", "Zürich".encode("latin-1"))
    octets = declared(
        b"ISO_IR 100",
        text(0x00081030, "LO", "Köln".encode("latin-1")),
        sequence(
            0x00081110, [item(russian + sequence(0x00081199, [item(inherited.replace(b"\xfc", b"\xe3"))])), item(inherited)]
        ),
    )
    canonical = offer(octets)
    ds = read(canonical)
    first, second = ds.ReferencedStudySequence
    assert (ds.StudyDescription, first.StudyDescription, second.StudyDescription) == ("Köln", "Люкceмбypг", "Zürich")
    assert first.ReferencedSOPSequence[0].StudyDescription == "Zу" + "rich"
    assert "SpecificCharacterSet" not in first
    assert {"T08", "N04"} <= set(rules(canonical))
    (before,) = ds.OriginalAttributesSequence[0].NonconformingModifiedAttributesSequence
    assert (before.NonconformingDataElementValue, before.SelectorSequencePointer) == (b"ISO_IR 144", 0x00081110)
    assert_reversible_and_stable(octets, canonical)


def test_a_backslash_octet_inside_a_character_divides_nothing() -> None:
    description = "表示^ソ"  # both end with the octet 5C in Shift-JIS
    octets = declared(b"ISO_IR 13", text(0x00081030, "LO", description.encode("shift_jis")))
    canonical = offer(octets)
    assert read(canonical).StudyDescription == description
    assert json.loads(canonical.json_header)["00081030"]["Value"] == [description]


def test_undeclared_octets_that_are_not_utf_8_are_not_guessed() -> None:
    octets = file(identification(extra=text(0x00100010, "PN", "Петров".encode("cp1251"))))
    canonical = offer(octets)
    assert rules(canonical) == []
    assert noticed(canonical) == ["T02"]
    assert "Петров".encode("cp1251") in data_set(canonical)
    assert_reversible_and_stable(octets, canonical)


BEYOND = [
    (b"GB18030 ", "王小东".encode("gb18030") + b"\xff"),
    (b"ISO_IR 192", "Müller".encode("latin-1")),
    (b"ISO_IR 100", "山田^太郎".encode("shift_jis")),
    (b"ISO_IR 100", b"M\x93\xfcller\x94"),
    (b"ISO_IR 127", b"\xa1\xff"),
    (b"ISO_IR 13 ", b"\xfe\xfdab"),
]


@pytest.mark.parametrize(("name", "raw"), BEYOND)
def test_octets_that_the_declared_set_does_not_have_are_not_guessed(name: bytes, raw: bytes) -> None:
    octets = declared(name, text(0x00081030, "LO", raw), text(0x00081090, "LO", b"X"))
    canonical = offer(octets)
    assert rules(canonical) == []
    assert noticed(canonical) == ["T06"]
    assert text(0x00081030, "LO", raw) in data_set(canonical)
    assert_reversible_and_stable(octets, canonical)


WIDER = [
    (b"ISO_IR 13 ", "表示^ソ".encode("shift_jis"), "表示^ソ"),
    (b"\\ISO 2022 IR 149", "홍^길동".encode("euc_kr"), "홍^길동"),
    (b"ISO_IR 100", b"\x1b$B;3ED\x1b(B", "山田"),
]


@pytest.mark.parametrize(("name", "raw", "shown"), WIDER)
def test_the_one_wider_set_is_inferred_and_the_octets_before_are_told(name: bytes, raw: bytes, shown: str) -> None:
    octets = declared(name, text(0x00081030, "LO", raw))
    canonical = offer(octets)
    ds = read(canonical)
    assert shown == ds.StudyDescription
    (change,) = [one for one in canonical.transformations if one.rule == "T06" and one.tag == "00081030"]
    assert change.confidence.value == "inferred"
    told = [item for record in ds.OriginalAttributesSequence for item in record.NonconformingModifiedAttributesSequence]
    assert any(one.SelectorAttribute == 0x00081030 and one.NonconformingDataElementValue.startswith(raw) for one in told)
    assert_reversible_and_stable(octets, canonical)


def test_a_set_that_nobody_defines_leaves_the_text_alone() -> None:
    octets = declared(b"KLINGON ", text(0x00081030, "LO", b"\xf8\xd0"))
    canonical = offer(octets)
    assert rules(canonical) == []
    assert "T01" in noticed(canonical)
    assert_reversible_and_stable(octets, canonical)


def test_values_before_that_declare_their_own_set_stay_as_they_were() -> None:
    before = element(0x00080005, "CS", b"ISO_IR 101") + text(0x00100010, "PN", "Wałęsa".encode("iso8859-2"))
    theirs = sequence(0x04000561, [item(sequence(0x04000550, [item(before)]))])
    octets = file(element(0x00080005, "CS", b"ISO_IR 100") + identification(extra=text(0x00100010, "PN", b"M\xfcller")) + theirs)
    canonical = offer(octets)
    ds = read(canonical)
    assert str(ds.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].PatientName) == "Wałęsa"
    assert before in data_set(canonical)
    assert_reversible_and_stable(octets, canonical)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"", b"ISO_IR 100", b"ISO_IR 13", b"\\ISO 2022 IR 87", b"GB18030", b"ISO_IR 192", b"nonsense"]),
    st.sampled_from([b"", b"ISO_IR 144", b"GBK "]),
    st.binary(max_size=24),
    st.binary(max_size=24),
)
def test_any_octets_under_any_declaration_come_back(outer: bytes, inner: bytes, one: bytes, other: bytes) -> None:
    inside = (element(0x00080005, "CS", inner + b" " * (len(inner) & 1)) if inner else b"") + text(0x00081030, "LO", other)
    octets = declared(outer, text(0x00081030, "LO", one), sequence(0x00081110, [item(inside)]))
    assert_reversible_and_stable(octets, offer(octets))


@settings(max_examples=200, deadline=None)
@given(
    st.text(
        st.characters(codec="gb18030", exclude_characters="\\^=\0", exclude_categories=("Cc", "Cs", "Zs")),
        min_size=1,
        max_size=12,
    )
)
def test_what_can_be_written_in_a_set_is_read_from_it(characters: str) -> None:
    canonical = offer(declared(b"GB18030", text(0x00081030, "LO", characters.encode("gb18030"))))
    assert read(canonical).StudyDescription == characters
