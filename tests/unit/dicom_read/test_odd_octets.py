"""What vendors send is read by its octets; what cannot be read is refused with a reason."""

from __future__ import annotations

import struct
import time
import zlib

import pytest

from tests.unit.dicom_read.reading import read, rules
from vna_core.domain.errors import EmptyPayload, LimitExceeded, Malformed, NotDicom, Truncated, Unarchivable, VnaError
from vna_core.testing import phantom_writer as write
from vna_core.testing import phantoms
from vna_core.testing.phantom_writer import Form

HELD = {name: one for name, one in phantoms.odd().items() if one.outcome == "held"}
PIXELS = len(phantoms.pixels(1, 32, 32))
READ_RULES = ("F01", "F03", "F04", "F07", "F12", "F13", "F22")


@pytest.mark.parametrize("name", sorted(HELD))
def test_every_odd_phantom_is_read_to_its_end(name: str) -> None:
    parsed = read(HELD[name].octets)
    tags = [element.tag for element in parsed.data_set.elements]
    assert 0x00100020 in tags
    assert parsed.pixel is not None
    if parsed.pixel.fragments is None:
        assert parsed.pixel.value.length == PIXELS
    assert rules(parsed) >= {rule for rule in HELD[name].rules if rule in READ_RULES}


@pytest.mark.parametrize(
    ("name", "error"), [("cut_in_pixels", Truncated), ("cut_in_header", Unarchivable), ("not_dicom", NotDicom)]
)
def test_what_is_cut_or_foreign_is_refused(name: str, error: type[VnaError]) -> None:
    with pytest.raises(error):
        read(phantoms.odd()[name].octets)


def test_an_empty_payload_is_refused() -> None:
    with pytest.raises(EmptyPayload):
        read(b"")


@pytest.mark.parametrize(
    "octets", [b"PK\x03\x04" + bytes(400), b"\x89PNG\r\n\x1a\n" + bytes(200), b"%PDF-1.7\n" * 50, bytes(3000), b"{" * 500]
)
def test_foreign_files_are_not_dicom(octets: bytes) -> None:
    with pytest.raises(Unarchivable):
        read(octets)


def body(extra: bytes = b"", tail: bytes = b"") -> bytes:
    elements = phantoms.ct_elements(1, 32, 32)
    head = write.data_set([one for one in elements if one[0] < 0x00400000])
    rest = write.data_set([*[one for one in elements if one[0] >= 0x00400000], (0x7FE00010, "OW", phantoms.pixels(1, 32, 32))])
    meta = write.file_meta(phantoms.CT, phantoms.uid(1), write.EXPLICIT_LITTLE)
    return write.part10(meta, head + extra + rest + tail)


@pytest.mark.parametrize(
    ("extra", "rule"),
    [
        (struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), "E13"),
        (struct.pack("<HHI", 0xFFFE, 0xE00D, 0), "E13"),
        (struct.pack("<HH2sH", 0x0032, 0x1060, b"??", 4) + b"WHAT", "E15"),
        (struct.pack("<HH2sH", 0x0032, 0x1060, b"lo", 4) + b"WHAT", "E15"),
        (struct.pack("<HHI", 0x0032, 0x1060, 4) + b"WHAT", "E18"),
    ],
    ids=["stray sequence delimiter", "stray item delimiter", "unknown letters", "small letters", "implicit among explicit"],
)
def test_a_damaged_header_costs_nothing_around_it(extra: bytes, rule: str) -> None:
    parsed = read(body(extra))
    assert rule in rules(parsed)
    tags = {element.tag for element in parsed.data_set.elements}
    assert {0x00080018, 0x00431000, 0x7FE00010} <= tags
    assert parsed.pixel is not None and parsed.pixel.value.length == PIXELS


@pytest.mark.parametrize("junk", [b"\0" * 5, b"\0" * 4096, b"\x1a\x1a\x1a", b"not an element at all, but text"])
def test_junk_behind_the_pixels_is_cut(junk: bytes) -> None:
    whole = body()
    parsed = read(whole + junk)
    assert "F22" in rules(parsed)
    assert parsed.end == len(whole)


def nested(depth: int, undefined: bool) -> bytes:
    if undefined:
        opening = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        closing = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        return opening * depth + closing * depth
    value = b""
    for _ in range(depth):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value
        value = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, len(item)) + item
    return value


@pytest.mark.parametrize("undefined", [True, False])
def test_depth_is_bounded(undefined: bool) -> None:
    assert read(body(nested(200, undefined)))
    with pytest.raises(LimitExceeded):
        read(body(nested(3000 if not undefined else 200_000, undefined)))


def test_a_million_empty_items_do_not_hang() -> None:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 1_000_000
    begin = time.process_time()
    parsed = read(body(struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, len(items)) + items))
    assert len(next(one for one in parsed.data_set.elements if one.tag == 0x0040A730).items or ()) == 1_000_000
    assert time.process_time() - begin < 60


def test_a_deflate_bomb_is_stopped() -> None:
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(write.data_set([(0x00080005, "CS", "ISO_IR 100"), (0x00080060, "CS", "CT")]))
    for _ in range(1100):
        bomb += packer.compress(bytes(1 << 20))
    bomb += packer.flush()
    with pytest.raises((LimitExceeded, Malformed)):
        read(write.part10(write.file_meta(phantoms.CT, "1.2", write.DEFLATED), bomb))


def test_lying_lengths_are_truncation() -> None:
    lie = struct.pack("<HH2sHI", 0x0040, 0x1234, b"OB", 0, 0xFFFFFF00)
    with pytest.raises(Unarchivable):
        read(body(lie))


def test_big_endian_values_keep_their_places() -> None:
    parsed = read(phantoms.odd()["big_endian"].octets)
    rows = next(one for one in parsed.data_set.elements if one.tag == 0x00280010)
    assert bytes(parsed.buffer[rows.start : rows.start + 2]) == (32).to_bytes(2, "big")
    assert not parsed.data_set.little_endian


def test_undefined_and_defined_sequences_read_alike() -> None:
    elements = [*phantoms.ct_elements(3, 16, 16), (0x7FE00010, "OW", phantoms.pixels(3, 16, 16))]
    meta = write.file_meta(phantoms.CT, "1.2.3", write.EXPLICIT_LITTLE)
    one = read(write.part10(meta, write.data_set(elements)))
    two = read(write.part10(meta, write.data_set(elements, Form(undefined_sequences=True))))
    assert [e.tag for e in one.data_set.elements] == [e.tag for e in two.data_set.elements]
    first, second = (next(e for e in p.data_set.elements if e.items is not None) for p in (one, two))
    assert [e.tag for e in (first.items or [])[0].elements] == [e.tag for e in (second.items or [])[0].elements]
