"""What leaves the archive is what came in, or an error: damage is never served silently."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from tests.unit.ingest.ct_samples import ct
from tests.unit.ingest.small_archive import SmallArchive, flip, small_archive
from vna_core.access.retrieve import Retriever
from vna_core.domain.errors import DigestMismatch, InvalidRequest, NotFound, ObjectMissing, StorageError, StoreUnavailable
from vna_core.domain.instance import HeldInstance, Location
from vna_core.domain.octets import CHUNK, ByteRange
from vna_storage_filesystem.store import FilesystemStore

LARGE = 20_000
"""Rows of an instance that is larger than what is verified in one go."""


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(tmp_path) as archive:
        yield archive


def pixels(octets: bytes) -> bytes:
    return bytes(pydicom.dcmread(io.BytesIO(octets)).PixelData)


@pytest.mark.parametrize("rows", [128, LARGE])
def test_the_served_file_is_the_canonical_object_without_its_trailer(archive: SmallArchive, rows: int) -> None:
    held = archive.held(ct(rows=rows))
    served = b"".join(archive.retriever.part10(held))
    assert served == archive.path(held).read_bytes()[: held.trailer_offset]
    data_set = pydicom.dcmread(io.BytesIO(served))
    assert data_set.SOPInstanceUID == held.sop_instance_uid
    assert data_set.PixelData == pixels(ct(rows=rows))
    assert (0xFFFC, 0xFFFC) not in data_set
    assert b"".join(archive.retriever.data_set(held)) == served[held.data_set_offset :]
    assert max(map(len, archive.retriever.part10(held))) <= 4 * CHUNK


@pytest.mark.parametrize("rows", [128, LARGE])
def test_frames_are_the_pixels(archive: SmallArchive, rows: int) -> None:
    held = archive.held(ct(rows=rows))
    assert b"".join(archive.retriever.frames(held, [1])) == pixels(ct(rows=rows))
    [frame] = archive.retriever.frame_ranges(held)
    assert frame.length == 256 * rows
    for number in (0, 2, -1):
        with pytest.raises(NotFound):
            list(archive.retriever.frames(held, [number]))


def test_a_single_value_is_read_by_its_tags(archive: SmallArchive) -> None:
    held = archive.held(ct(PatientComments="comment!"))
    assert b"".join(archive.retriever.element_value(held, "00104000")) == b"comment!"
    assert b"".join(archive.retriever.element_value(held, "00104000", ByteRange(3, 2))) == b"me"
    assert b"".join(archive.retriever.element_value(held, "00104000", ByteRange(100, 2))) == b""
    assert b"".join(archive.retriever.element_value(held, "7FE00010")) == pixels(ct())
    with pytest.raises(NotFound):
        archive.retriever.element_value(held, "00104001")
    with pytest.raises(InvalidRequest):
        archive.retriever.element_value(held, "../secret")


def is_marked_bad(archive: SmallArchive) -> bool:
    [location] = archive.catalogue.fingerprint()["locations"]
    return "bad" in location


WHOLE: dict[str, Callable[[Retriever, HeldInstance], Iterator[bytes]]] = {
    "part10": Retriever.part10,
    "data_set": Retriever.data_set,
    "original": Retriever.original,
    "frames": lambda retriever, held: retriever.frames(held, [1]),
    "pixel_data": lambda retriever, held: retriever.element_value(held, "7FE00010"),
}


def damage(archive: SmallArchive, held: HeldInstance, how: str) -> None:
    path = archive.path(held)
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[: held.size // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "longer":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        flip(path, {"head": 140, "pixels": held.size // 2, "end": held.size - 3}[how])


def bitwise_crc32c(octets: bytes) -> int:
    """CRC-32C by its definition (RFC 3385), one bit at a time."""
    remainder = 0xFFFFFFFF
    for octet in octets:
        remainder ^= octet
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


def test_the_checksum_recorded_is_that_of_the_file(archive: SmallArchive) -> None:
    held = archive.held(ct())
    assert held.crc32c == bitwise_crc32c(archive.path(held).read_bytes())


@pytest.mark.parametrize("checksum", ["checksum", "digest"])
@pytest.mark.parametrize("read", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("how", ["missing", "truncated", "empty", "head", "pixels", "end"])
def test_a_damaged_copy_is_never_served_silently(
    archive: SmallArchive, how: str, read: Callable[[Retriever, HeldInstance], Iterator[bytes]], checksum: str
) -> None:
    held = archive.held(ct())
    assert held.crc32c is not None
    if checksum == "digest":
        held = replace(held, crc32c=None)
        assert b"".join(read(archive.retriever, held))
    damage(archive, held, how)
    with pytest.raises((DigestMismatch, ObjectMissing)):
        b"".join(read(archive.retriever, held))
    assert is_marked_bad(archive)
    [after] = archive.catalogue.versions(held.sop_instance_uid)
    with pytest.raises(StorageError):
        b"".join(read(archive.retriever, after))


@pytest.mark.parametrize("checksum", ["checksum", "digest"])
@pytest.mark.parametrize("read", [Retriever.part10, Retriever.data_set, Retriever.original])
@pytest.mark.parametrize("how", ["missing", "truncated", "empty", "head", "pixels", "end"])
def test_a_large_damaged_copy_never_ends_as_if_whole(
    archive: SmallArchive, how: str, read: Callable[[Retriever, HeldInstance], Iterator[bytes]], checksum: str
) -> None:
    held = archive.held(ct(rows=LARGE))
    if checksum == "digest":
        held = replace(held, crc32c=None)
    whole = b"".join(read(archive.retriever, held))
    damage(archive, held, how)
    given: list[bytes] = []
    if how == "head" and read is Retriever.original:  # the file meta information of a file received is in the reverse patch
        assert b"".join(read(archive.retriever, held)) == whole
        return
    with pytest.raises((DigestMismatch, ObjectMissing)):
        given.extend(read(archive.retriever, held))
    assert sum(map(len, given)) < len(whole)
    assert is_marked_bad(archive)


@pytest.mark.parametrize("rows", [128, LARGE])
@pytest.mark.parametrize("how", ["missing", "truncated", "pixels"])
def test_the_next_copy_is_read_when_one_is_bad(archive: SmallArchive, tmp_path: Path, how: str, rows: int) -> None:
    held = archive.held(ct(rows=rows))
    [first] = held.locations
    shutil.copytree(tmp_path / "store", tmp_path / "second")
    both = replace(held, locations=(first, Location("second", first.key, 0, held.size)))
    stores = {"landing": archive.store, "second": FilesystemStore("second", tmp_path / "second")}
    damage(archive, held, how)
    retriever = Retriever(stores, archive.catalogue)
    if rows == LARGE and how != "missing":  # pieces were given before the damage showed: the answer ends, the next one is right
        with pytest.raises(DigestMismatch):
            b"".join(retriever.part10(both))
        both = replace(both, locations=both.locations[1:])
    assert len(b"".join(retriever.part10(both))) == held.trailer_offset
    assert b"".join(retriever.original(both)) == ct(rows=rows)
    assert b"".join(retriever.frames(both, [1])) == pixels(ct(rows=rows))


def test_a_store_that_is_not_configured_is_named(archive: SmallArchive) -> None:
    held = archive.held(ct())
    with pytest.raises(StoreUnavailable, match="landing"):
        b"".join(Retriever({}, archive.catalogue).part10(held))
