"""DICOM JSON as PS3.18 annex F has it, from pydicom's point of view and from the standard's examples."""

from __future__ import annotations

import io
import json
import math
import struct
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from vna_core.dicom.json_header import decimal, encode_attributes, person_name, to_json
from vna_core.dicom.revision import RevisedDataSet
from vna_core.dicom.tokenizer import tokenize


def as_json(data_set: Dataset) -> dict[str, Any]:
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data_set, implicit_vr=False, little_endian=True)
    return of_octets(stream.getvalue())


def of_octets(octets: bytes) -> dict[str, Any]:
    walk = tokenize(octets, 0, len(octets), explicit=True, little_endian=True)
    document = json.loads(
        to_json(RevisedDataSet(octets, walk.data_set, [], walk.pixel, walk.encapsulated)), parse_constant=pytest.fail
    )
    assert isinstance(document, dict)
    return document


def ct() -> Dataset:
    one = Dataset()
    one.SpecificCharacterSet = "ISO_IR 100"
    one.PatientName = "Müller^Jürgen"
    one.StudyInstanceUID = "1.2.3"
    one.ImageType = ["ORIGINAL", "PRIMARY", "", "AXIAL"]
    one.Rows = 512
    one.PixelSpacing = [0.5, 0.75]
    one.SeriesNumber = 17
    one.FrameIncrementPointer = 0x00181063
    one.AccessionNumber = ""
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.4"
    inner.CodeMeaning = "größer"
    one.ReferencedImageSequence = Sequence([inner, Dataset()])
    one.add_new(0x00700022, "FL", [1.5, -2.0])
    one.add_new(0x00189087, "FD", 0.1)
    return one


def test_it_says_what_pydicom_says() -> None:
    ours, theirs = as_json(ct()), json.loads(ct().to_json())
    theirs["00080005"]["Value"] = ["ISO_IR 192"]
    theirs["00080008"]["Value"][2] = None
    assert ours == theirs


def test_a_name_has_three_component_groups() -> None:
    one = Dataset()
    one.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    one.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert as_json(one)["00100010"]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    ]


def test_an_item_has_the_character_set_of_its_own() -> None:
    inner = Dataset()
    inner.SpecificCharacterSet = "ISO_IR 144"
    inner.PatientName = "Люкceмбypг"
    one = Dataset()
    one.SpecificCharacterSet = "ISO_IR 100"
    one.PatientName = "é"
    one.OtherPatientIDsSequence = Sequence([inner])
    document = as_json(one)
    assert document["00100010"]["Value"] == [{"Alphabetic": "é"}]
    assert document["00101002"]["Value"][0]["00100010"]["Value"] == [{"Alphabetic": "Люкceмбypг"}]


@pytest.mark.parametrize(("length", "member"), [(2, "InlineBinary"), (64, "InlineBinary"), (66, "BulkDataURI")])
def test_binary_is_inline_up_to_64_octets(length: int, member: str) -> None:
    octets = b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", length) + bytes(length)
    assert list(of_octets(octets)["00091010"]) == ["vr", member]


def test_binary_of_an_odd_length_is_told_as_it_is_stored() -> None:
    octets = b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", 3) + b"abc"
    assert of_octets(octets)["00091010"]["InlineBinary"] == "YWJjAA=="


def test_pixel_data_is_always_a_reference() -> None:
    octets = b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", 2) + bytes(2)
    assert of_octets(octets)["7FE00010"] == {"vr": "OW", "BulkDataURI": "@/bulkdata/7FE00010"}


def test_a_reference_inside_items_has_their_path() -> None:
    blob = b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", 100) + bytes(100)
    items = b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\x00\xe0" + struct.pack("<I", len(blob)) + blob
    octets = b"\x08\x00\x40\x11SQ\0\0" + struct.pack("<I", len(items)) + items
    assert of_octets(octets)["00081140"]["Value"] == [
        {},
        {"00091010": {"vr": "OB", "BulkDataURI": "@/bulkdata/00081140/1/00091010"}},
    ]


def test_numbers_that_are_none_are_strings() -> None:
    octets = (
        b"\x28\x00\x30\x00DS\x0c\x00"
        + b"abc\\1.50\\ +2"
        + b"\x70\x00\x22\x00FL\x0c\x00"
        + struct.pack("<3f", math.nan, math.inf, -math.inf)
    )
    document = of_octets(octets)
    assert document["00280030"]["Value"] == ["abc", 1.5, 2]
    assert document["00700022"]["Value"] == ["NaN", "Infinity", "-Infinity"]


def test_sequences_of_any_depth_are_written() -> None:
    octets = b""
    for _ in range(3000):
        one = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(octets)) + octets
        octets = b"\x08\x00\x40\x11SQ\0\0" + struct.pack("<I", len(one)) + one
    walk = tokenize(octets, 0, len(octets), explicit=True, little_endian=True, max_depth=4000)
    text = to_json(RevisedDataSet(octets, walk.data_set))
    assert text.count(b"{") == 6001


@given(st.text(max_size=30))
def test_every_decimal_is_valid_json(text: str) -> None:
    value = json.loads(decimal(text), parse_constant=pytest.fail)
    assert isinstance(value, str | int | float)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**17), 10**17))
def test_a_decimal_keeps_its_value(value: float) -> None:
    assert json.loads(decimal(str(value))) == value


@given(st.text(max_size=30))
def test_every_name_is_valid_json(text: str) -> None:
    assert isinstance(json.loads(person_name(text)), dict | None)


@given(
    st.binary(max_size=62), st.sampled_from(["LO", "PN", "DS", "IS", "UI", "AT", "US", "FL", "FD", "UN", "SH", "CS", "UT", "SV"])
)
def test_any_octets_give_valid_json(raw: bytes, vr: str) -> None:
    raw += b"\0" * (len(raw) & 1)
    long = vr in ("UN", "UT", "SV")
    head = vr.encode() + (b"\0\0" + struct.pack("<I", len(raw)) if long else struct.pack("<H", len(raw)))
    assert list(of_octets(b"\x09\x00\x10\x10" + head + raw)) == ["00091010"] or raw[:4] == b"\xfe\xff\x00\xe0"


def test_indexed_attributes_become_json() -> None:
    document = encode_attributes(
        {0x00100010: ["Doe^Jane"], 0x00200013: ["7"], 0x00280010: ["512"], 0x00080008: ["A", "", "B"], 0x00201208: ["3"]}
    )
    assert document == {
        "00080008": {"vr": "CS", "Value": ["A", None, "B"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
        "00200013": {"vr": "IS", "Value": [7]},
        "00201208": {"vr": "IS", "Value": [3]},
        "00280010": {"vr": "US", "Value": [512]},
    }
