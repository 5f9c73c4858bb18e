"""Pixels pass through undecoded: as they are stored, or with the end markers they lack."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames, parse_basic_offsets

from tests.unit.egress.egress_samples import PIXELS, Receiver, encapsulated, image, octets_of, stored_octets
from tests.unit.ingest.small_archive import SmallArchive
from vna_core.domain.errors import DigestMismatch
from vna_core.testing.phantoms import CT

MakeReceiver = Callable[..., Receiver]
SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
JPEG = "1.2.840.10008.1.2.4.50"


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_RLE.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_jpeg_dcmtk.dcm", "rtplan.dcm"]
)
def test_a_profile_that_changes_nothing_sends_the_octets_of_the_store(
    archive: SmallArchive, receiver: MakeReceiver, name: str
) -> None:
    held = archive.held((SAMPLES / name).read_bytes())
    stored = b"".join(archive.retriever.part10(held))
    assert receiver().octets(held) == stored
    outgoing = receiver().outgoing(held)
    assert outgoing.held.trailer_offset == len(stored) == held.trailer_offset
    assert (outgoing.held.pixel_data, outgoing.held.data_set_offset) == (held.pixel_data, held.data_set_offset)


@pytest.mark.parametrize("name", ["CT_small.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_jpeg_dcmtk.dcm", "rtplan.dcm"])
def test_without_a_profile_the_answer_is_what_the_retriever_gives(
    archive: SmallArchive, receiver: MakeReceiver, name: str
) -> None:
    held = archive.held((SAMPLES / name).read_bytes())
    outgoing = receiver().egress.outgoing(held, None)
    assert outgoing.held is held
    assert b"".join(outgoing.part10(held.transfer_syntax_uid)) == b"".join(archive.retriever.part10(held))
    assert b"".join(outgoing.data_set(held.transfer_syntax_uid)) == b"".join(archive.retriever.data_set(held))


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_jpeg_dcmtk.dcm"])
def test_the_pixels_of_an_adapted_object_are_the_stored_ones(archive: SmallArchive, receiver: MakeReceiver, name: str) -> None:
    held = archive.held((SAMPLES / name).read_bytes())
    profile = receiver(values=[{"tag": "PatientID", "set": "another and longer identifier"}], private="remove")
    octets, outgoing = profile.octets(held), profile.outgoing(held).held
    stored = stored_octets(archive, held)
    assert held.pixel_data is not None and outgoing.pixel_data is not None
    assert octets[outgoing.pixel_data.offset : outgoing.pixel_data.end] == stored[held.pixel_data.offset : held.pixel_data.end]
    assert len(octets) == outgoing.trailer_offset == profile.outgoing(held).size(held.transfer_syntax_uid)
    assert profile.receives(held).PatientID == "another and longer identifier"


def jpeg_codestreams() -> list[bytes]:
    data_set = pydicom.dcmread(SAMPLES / "SC_rgb_jpeg_dcmtk.dcm")
    [codestream] = generate_frames(data_set.PixelData, number_of_frames=1)
    return [codestream, codestream]


@pytest.mark.parametrize("syntax", [JPEG, "1.2.840.10008.1.2.4.51"])
def test_codestreams_without_their_end_get_it(archive: SmallArchive, receiver: MakeReceiver, syntax: str) -> None:
    whole = [codestream.rstrip(b"\0") for codestream in jpeg_codestreams()]
    sample = encapsulated([whole[0][:-2], whole[1], whole[0][:-2]], syntax, Rows=100, Columns=100)
    held = archive.held(octets_of(sample))
    assert held.number_of_frames == 3
    got = receiver(append_end_of_image=True).receives(held)
    frames = list(generate_frames(got.PixelData, number_of_frames=3))
    assert [frame.rstrip(b"\0").endswith(b"\xff\xd9") for frame in frames] == [True, True, True]
    assert frames[1].rstrip(b"\0") == whole[1]
    offsets = parse_basic_offsets(got.PixelData)
    assert offsets[1] == len(frames[0]) + 8 and offsets[2] == offsets[1] + len(frames[1]) + 8
    profile = receiver(append_end_of_image=True)
    assert len(profile.octets(held)) == profile.outgoing(held).held.trailer_offset
    source = profile.outgoing(held).source
    assert all(b"\xff\xd9" in frame[-4:] for frame in source.frames(held, [1, 2, 3]))


def test_what_is_no_codestream_is_left_as_it_is(archive: SmallArchive, receiver: MakeReceiver) -> None:
    held = archive.held(octets_of(encapsulated([b"\xff" * 4096], JPEG)))
    assert receiver(append_end_of_image=True).octets(held) == b"".join(archive.retriever.part10(held))


def test_complete_codestreams_stay_octet_by_octet(archive: SmallArchive, receiver: MakeReceiver) -> None:
    held = archive.held(octets_of(encapsulated(jpeg_codestreams(), JPEG, Rows=100, Columns=100)))
    assert receiver(append_end_of_image=True).octets(held) == b"".join(archive.retriever.part10(held))


def test_what_stands_behind_the_pixels_is_adapted_too(archive: SmallArchive, receiver: MakeReceiver) -> None:
    sample = image()
    sample.private_block(0x7FE1, "BEHIND", create=True).add_new(1, "LO", "Übergang")
    held = archive.held(octets_of(sample))
    octets = receiver(character_set="ISO_IR 100").octets(held)
    assert "Übergang".encode("latin-1") in octets[-40:]
    assert 0x7FE11001 not in receiver(private="remove").receives(held)
    assert receiver(private="remove").receives(held).PixelData == PIXELS.tobytes()


@pytest.mark.parametrize("rows", [64, 1600])
def test_a_damaged_copy_is_not_served_whole(archive: SmallArchive, receiver: MakeReceiver, rows: int) -> None:
    sample = image(Rows=rows, Columns=rows, PixelData=bytes(rows * rows * 2))
    held = archive.held(octets_of(sample))
    path = archive.path(held)
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)
    with pytest.raises(DigestMismatch):
        receiver(character_set="ISO_IR 100").octets(held)


def document(size: int) -> Dataset:
    """A large object without pixel data."""
    data_set = image(SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", Modality="DOC", SOPInstanceUID="1.2.3.4.7")
    del data_set.PixelData
    data_set.MIMETypeOfEncapsulatedDocument = "application/pdf"
    data_set.EncapsulatedDocument = bytes(range(256)) * (size // 256)
    return data_set


def test_a_large_document_passes_through_without_being_in_memory(archive: SmallArchive, receiver: MakeReceiver) -> None:
    held = archive.held(octets_of(document(48 << 20)))
    assert receiver().octets(held) == b"".join(archive.retriever.part10(held))
    tracemalloc.start()
    outgoing = receiver(character_set="ISO_IR 100", private="remove").outgoing(held)
    assert sum(map(len, outgoing.part10(held.transfer_syntax_uid))) == outgoing.held.trailer_offset > 48 << 20
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
    got = receiver(character_set="ISO_IR 100", private="remove").receives(held)
    assert (got.PatientName, got.SpecificCharacterSet) == ("Müller^Jörg", "ISO_IR 100")
    assert got.EncapsulatedDocument == bytes(range(256)) * (48 << 12)
    assert "EncapsulatedDocument" not in receiver(remove=["EncapsulatedDocument"]).receives(held)


@pytest.mark.parametrize("size", [1 << 10, 17 << 20])
def test_metadata_of_an_unchanged_object_is_that_of_the_catalogue(
    archive: SmallArchive, receiver: MakeReceiver, size: int
) -> None:
    for sample in (document(size), image()):
        held = archive.held(octets_of(sample))
        [(_, header)] = archive.catalogue.headers(study=None, series=None, sop=held.sop_instance_uid)
        assert json.loads(receiver().egress.metadata(held, receiver().profile)) == json.loads(header)


@pytest.mark.slow
def test_memory_stays_flat_for_a_large_object(archive: SmallArchive, receiver: MakeReceiver) -> None:
    frames = 370
    sample = image(SOPClassUID=CT, Rows=512, Columns=1024, NumberOfFrames=frames, PixelData=bytes(frames << 20))
    held = archive.held(octets_of(sample))
    del sample
    outgoing = receiver(character_set="ISO_IR 100", uids="conformant", private="remove").outgoing(held)
    tracemalloc.start()
    total, digest = 0, hashlib.sha256()
    for piece in outgoing.part10(held.transfer_syntax_uid):
        total += len(piece)
        digest.update(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == outgoing.held.trailer_offset > 370 << 20
    assert peak < 16 << 20
