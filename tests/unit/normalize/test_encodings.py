"""Whatever the transfer syntax, the canonical object is the same explicit little endian file and the octets come back."""

from __future__ import annotations

import io
import struct
import zlib

import pydicom
import pytest

from tests.unit.normalize.handmade import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    assert_reversible_and_stable,
    data_set,
    description,
    element,
    file,
    identification,
    item,
    noticed,
    offer,
    received,
    rules,
    sequence,
    stored,
)
from vna_core.configuration import IngestSettings
from vna_core.dicom.trailer import index_entry_fields
from vna_core.domain.octets import ByteRange
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import normalize

SAMPLES = [(7 * index) & 0xFFFF for index in range(64)]


def image(order: str = "<", **encoding: bool) -> bytes:
    big = encoding.get("big", False)
    step = element(0x00400007, "LO", b"head", **encoding) + element(0x00400009, "SH", b"17", **encoding)
    return (
        identification(extra=element(0x00100010, "PN", b"Doe^Jane", **encoding), **encoding)
        + description(8, 8, **encoding)
        + element(0x00281052, "DS", b"-1024 ", **encoding)
        + element(0x00281053, "DS", b"1 ", **encoding)
        + sequence(0x00400275, [item(step, big=big), item(b"", big=big)], **encoding)
        + sequence(0x0040A730, [], **encoding)
        + element(0x00700022, "FL", struct.pack(order + "2f", 1.5, -2.25), **encoding)
        + element(0x7FE00010, "OW", struct.pack(f"{order}64H", *SAMPLES), **encoding)
    )


def deflated(octets: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    stream = engine.compress(octets) + engine.flush()
    return stream + b"\0" * (len(stream) & 1)


ENCODED = {
    "explicit": file(image()),
    "implicit": file(image(implicit=True), IMPLICIT),
    "big endian": file(image(">", big=True), BIG_ENDIAN),
    "deflated": file(deflated(image()), DEFLATED),
}


@pytest.mark.parametrize("octets", ENCODED.values(), ids=ENCODED.keys())
def test_every_encoding_gives_the_same_data_set(octets: bytes) -> None:
    canonical = offer(octets)
    assert data_set(canonical) == image()
    assert canonical.transfer_syntax_uid == EXPLICIT
    assert_reversible_and_stable(octets, canonical)


@pytest.mark.parametrize("octets", ENCODED.values(), ids=ENCODED.keys())
def test_every_encoding_gives_the_same_index(octets: bytes) -> None:
    clean = offer(ENCODED["explicit"])
    canonical = offer(octets)
    assert canonical.json_header == clean.json_header
    assert canonical.attributes == clean.attributes
    assert canonical.frames == clean.frames


def test_a_clean_file_changes_nothing_and_costs_little() -> None:
    canonical = offer(ENCODED["explicit"])
    assert canonical.transformations == () and noticed(canonical) == []
    assert canonical.size - canonical.trailer_offset < 320


@pytest.mark.parametrize("name", ["implicit", "big endian", "deflated"])
def test_re_encoding_is_explained(name: str) -> None:
    assert "N01" in rules(offer(ENCODED[name]))


def test_a_bare_data_set_of_a_c_store_is_no_deviation() -> None:
    canonical = offer(image(), transfer_syntax=EXPLICIT)
    assert rules(canonical) == []
    assert data_set(canonical) == image()
    assert stored(canonical)[128:132] == b"DICM"


@pytest.mark.parametrize("octets", ENCODED.values(), ids=ENCODED.keys())
def test_another_reader_sees_the_same_values(octets: bytes) -> None:
    before = pydicom.dcmread(io.BytesIO(octets))
    after = pydicom.dcmread(io.BytesIO(stored(offer(octets))))
    del after[0xFFFCFFFC]
    assert (before.pixel_array == after.pixel_array).all()
    for one in before:
        if one.tag != 0x7FE00010:
            assert after[one.tag].value == one.value and after[one.tag].VR == one.VR
    assert {one.tag for one in before} == {one.tag for one in after}


def test_the_file_meta_information_is_true() -> None:
    read = pydicom.dcmread(io.BytesIO(stored(offer(ENCODED["implicit"]))))
    meta = read.file_meta
    assert meta.TransferSyntaxUID == EXPLICIT
    assert meta.MediaStorageSOPInstanceUID == read.SOPInstanceUID
    assert meta.FileMetaInformationGroupLength == len(
        stored(offer(ENCODED["implicit"]))[144 : offer(ENCODED["implicit"]).data_set_offset]
    )


@pytest.mark.parametrize(("bits", "kind"), [(8, "B"), (16, "H"), (32, "I"), (64, "Q")])
def test_big_endian_samples_of_every_width_keep_their_values(bits: int, kind: str) -> None:
    samples = [(index * 0x0102030405060708) % (1 << bits) for index in range(16)]
    vr = "OB" if bits == 8 else "OW"
    octets = file(
        identification(big=True)
        + description(4, 4, bits, big=True)
        + element(0x7FE00010, vr, struct.pack(f">16{kind}", *samples), big=True),
        BIG_ENDIAN,
    )
    canonical = offer(octets)
    assert canonical.pixel_data is not None
    where = canonical.pixel_data
    assert list(struct.unpack(f"<16{kind}", stored(canonical)[where.offset : where.end])) == samples
    assert_reversible_and_stable(octets, canonical)


def test_eight_bit_samples_in_big_endian_words_are_put_in_order() -> None:
    words = struct.pack(">8H", *[low | (low + 1) << 8 for low in range(0, 16, 2)])
    octets = file(
        identification(big=True) + description(4, 4, 8, big=True) + element(0x7FE00010, "OW", words, big=True), BIG_ENDIAN
    )
    canonical = offer(octets)
    assert canonical.pixel_data is not None
    assert stored(canonical)[canonical.pixel_data.offset : canonical.pixel_data.end] == bytes(range(16))


def test_private_classes_and_unknown_elements_pass_verbatim() -> None:
    private = element(0x00090010, "LO", b"ACME 1") + element(0x00091001, "UN", b"\1\2\3\4") + element(0x00091002, "OB", b"\5\6")
    octets = file(
        identification(extra=private).replace(b"1.2.840.10008.5.1.4.1.1.2\0", b"1.3.46.670589.11.0.0.12.1\0"[:26]),
        sop_class="1.3.46.670589.11.0.0.12.1",
    )
    canonical = offer(octets)
    assert canonical.sop_class_uid == "1.3.46.670589.11.0.0.12.1"
    assert data_set(canonical) == octets[-canonical.trailer_offset + canonical.data_set_offset :]
    assert rules(canonical) == []


def test_the_pixels_of_a_received_instance_are_ranges_not_copies() -> None:
    octets = file(identification() + description(256, 256) + element(0x7FE00010, "OW", bytes(131_072)))
    canonical = offer(octets)
    assert ByteRange(len(octets) - 131_072, 131_072) in canonical.segments


def test_values_too_long_for_a_short_length_become_un() -> None:
    text = b"x" * 70_000
    octets = file(identification(implicit=True) + element(0x00204000, "LT", text, implicit=True), IMPLICIT)
    canonical = offer(octets)
    read = pydicom.dcmread(io.BytesIO(stored(canonical)))
    assert read.get_item(0x00204000).VR == "UN" and read.get_item(0x00204000).value == text
    assert rules(canonical) == ["N01", "N03"]
    object_ = stored(canonical)
    assert (
        index_entry_fields(lambda offset, length: object_[offset : offset + length], len(object_)).json_header
        == canonical.json_header
    )
    assert_reversible_and_stable(octets, canonical)


def test_normalizing_twice_gives_the_same_octets() -> None:
    one = received(ENCODED["implicit"])
    parsed = identify(one, IngestSettings())
    assert stored(normalize(one, parsed, IngestSettings())) == stored(normalize(one, parsed, IngestSettings()))
