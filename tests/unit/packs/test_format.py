"""A pack is a TAR archive, a Zarr shard and a source of ranges at once, for programs that know nothing of it."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.ingest.ct_samples import ct
from tests.unit.packs.packing import SERIES, STUDY, kept, packed, stored
from vna_core.archival_storage.packs import Pack, PackInput, PackWriter, check_pack, read_pack, volume_order
from vna_core.archival_storage.packs.format import tar_header
from vna_core.domain.errors import DigestMismatch, InvalidRequest, Malformed, VnaError
from vna_core.testing.material import wheel_files


def opened(pack: bytes) -> Pack:
    return read_pack(lambda offset, length: pack[offset : offset + length], len(pack))


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def input_of(name: str, content: bytes) -> PackInput:
    return PackInput(name, hashlib.sha256(content).hexdigest(), len(content), 0, 1_700_000_000, lambda: iter((content,)))


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, bytes, dict[str, object]]]:
    """Twelve slices, offered from the top to the bottom, the numbers against the positions."""
    offered = [ct(number, ImagePositionPatient=f"-158\\-179\\{50 - number}") for number in range(1, 13)]
    return stored(tmp_path_factory.mktemp("slices"), offered)


def test_tar_lists_and_extracts_the_canonical_files_octet_for_octet(slices: list, tmp_path: Path) -> None:
    writer, pack = packed(slices)
    path = kept(tmp_path, writer, pack, opened(pack).array)
    listed = run(tmp_path, "tar", "tf", str(path))
    assert listed.returncode == 0 and listed.stderr == ""
    names = [member.name for member in writer.members]
    assert listed.stdout.splitlines() == [*names, "SHA256SUMS", "zarr.json", "pack.json"]
    (tmp_path / "out").mkdir()
    extracted = run(tmp_path / "out", "tar", "xf", str(path))
    assert extracted.returncode == 0 and extracted.stderr == ""
    by_digest = {held.sha256: content for held, content, _ in slices}
    for member in writer.members:
        content = (tmp_path / "out" / member.name).read_bytes()
        assert content == by_digest[member.sha256] == pack[member.range.offset : member.range.end]
        assert pydicom.dcmread(io.BytesIO(content)).SOPInstanceUID == member.name.rsplit(".", 2)[0]
    proven = run(tmp_path / "out", "sha256sum", "-c", "--quiet", "SHA256SUMS")
    assert proven.returncode == 0, proven.stdout
    assert not any(name in " ".join(names) for name in ("CompressedSamples", "1CT1"))


def test_python_reads_it_as_well_from_a_stream(slices: list) -> None:
    _, pack = packed(slices)
    with tarfile.open(fileobj=io.BytesIO(pack), mode="r|") as archive:
        found = {
            entry.name: archive.extractfile(entry).read()  # type: ignore[union-attr]
            for entry in archive
        }
    assert {hashlib.sha256(content).hexdigest() for name, content in found.items() if name.endswith(".dcm")} == {
        held.sha256 for held, _, _ in slices
    }


def test_packs_behind_one_another_are_still_one_archive(slices: list, tmp_path: Path) -> None:
    packs = [packed(slices[:5])[1], packed(slices[5:])[1]]
    (tmp_path / "both.tar").write_bytes(b"".join(packs))
    listed = run(tmp_path, "tar", "tif", "both.tar")
    assert listed.returncode == 0 and listed.stderr == ""
    assert sum(name.endswith(".dcm") for name in listed.stdout.splitlines()) == 12
    with tarfile.open(tmp_path / "both.tar", ignore_zeros=True) as archive:
        assert sum(name.endswith(".dcm") for name in archive.getnames()) == 12


def test_zarr_opens_the_volume_without_a_plugin(slices: list, tmp_path: Path) -> None:
    writer, pack = packed(slices)
    path = kept(tmp_path, writer, pack, opened(pack).array)
    array = zarr.open(str(path.parent), mode="r")
    assert isinstance(array, zarr.Array)
    assert array.shape == (12, 128, 128) and array.dtype == np.int16
    by_name = {held.sop_instance_uid: content for held, content, _ in slices}
    ordered = sorted(by_name, key=lambda uid: float(pydicom.dcmread(io.BytesIO(by_name[uid])).ImagePositionPatient[2]))
    for number, uid in enumerate(ordered):
        expected = pydicom.dcmread(io.BytesIO(by_name[uid])).pixel_array
        assert np.array_equal(array[number], expected)
    assert array.attrs["dicom"]["ImagePositionPatientFirst"][2] < array.attrs["dicom"]["ImagePositionPatientLast"][2]


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_is_an_array_with_samples_last(planar: int, tmp_path: Path) -> None:
    pixels = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    offered = []
    for number in range(2):
        data_set = pydicom.dcmread(io.BytesIO(ct(number + 1)))
        data_set.SamplesPerPixel, data_set.PlanarConfiguration, data_set.PhotometricInterpretation = 3, planar, "RGB"
        data_set.BitsAllocated = data_set.BitsStored = 8
        data_set.HighBit, data_set.PixelRepresentation, data_set.Rows, data_set.Columns = 7, 0, 4, 6
        frame = pixels[number] if planar == 0 else np.moveaxis(pixels[number], -1, 0)
        data_set.PixelData = frame.tobytes()
        out = io.BytesIO()
        data_set.save_as(out)
        offered.append(out.getvalue())
    writer, pack = packed(stored(tmp_path / "archive", offered))
    path = kept(tmp_path, writer, pack, opened(pack).array)
    assert path.name == "c.0.0.0.0"
    assert np.array_equal(zarr.open(str(path.parent), mode="r")[:], pixels)


def test_real_files_of_many_kinds_make_a_pack_without_an_array(tmp_path: Path) -> None:
    objects = []
    for octets in wheel_files()[:24]:
        try:
            objects += stored(tmp_path / f"a{len(objects)}", [octets])
        except (IndexError, VnaError):
            continue  # goes to quarantine
    objects = list({held.sop_instance_uid: (held, content, header) for held, content, header in objects}.values())
    assert len(objects) > 5
    writer, pack = packed(objects)
    found = opened(pack)
    assert found.array is None and writer.dimensions == 0 and found.members == writer.members
    assert len(found.frames) == sum(held.number_of_frames for held, _, _ in objects)
    check = check_pack(found, (pack[at : at + 1000] for at in range(0, len(pack), 1000)))
    assert check.damaged == () and check.sha256 == hashlib.sha256(pack).hexdigest()


def test_the_end_alone_tells_what_is_inside(slices: list) -> None:
    writer, pack = packed(slices)
    reads = []

    def read(offset: int, length: int) -> bytes:
        reads.append((offset, length))
        return pack[offset : offset + length]

    found = read_pack(read, len(pack))
    assert len(reads) == 2 and sum(length for _, length in reads) < 80_000
    assert (found.study_instance_uid, found.series_instance_uid) == (STUDY, SERIES)
    assert found.members == writer.members
    assert len(pack) % 512 == 0
    for member in found.members:
        [frame] = found.frames[member.first_frame : member.first_frame + member.frames]
        content = pack[member.range.offset : member.range.end]
        assert pack[frame.offset : frame.end] == pydicom.dcmread(io.BytesIO(content)).PixelData
    overhead = len(pack) - sum(member.range.length for member in found.members)
    assert overhead < 1100 * len(found.members) + 8192


@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=9),
    piece=st.integers(1, 5000),
    damage=st.none() | st.floats(0, 1, exclude_max=True),
)
@settings(deadline=None, max_examples=60)
def test_every_flipped_octet_is_found(sizes: list[int], piece: int, damage: float | None) -> None:
    contents = [bytes([number]) * size for number, size in enumerate(sizes)]
    writer = PackWriter(STUDY, SERIES, [input_of(f"{number}.x.dcm", content) for number, content in enumerate(contents)])
    pack = bytearray(b"".join(writer.chunks()))
    digest, found = hashlib.sha256(pack).hexdigest(), opened(bytes(pack))
    assert [pack[one.range.offset : one.range.end] for one in found.members] == contents
    at = None if damage is None else int(damage * len(pack))
    if at is not None:
        pack[at] ^= 1
    check = check_pack(found, (bytes(pack[i : i + piece]) for i in range(0, len(pack), piece)))
    assert (check.sha256 == digest) == (at is None)
    hit = [one for one in found.members if at is not None and one.range.offset <= at < one.range.end]
    assert list(check.damaged) == hit
    if at is not None and at >= found.tables:
        try:
            assert opened(bytes(pack)) == found
        except (DigestMismatch, Malformed):
            return


@given(cut=st.floats(0, 1, exclude_max=True))
@settings(deadline=None, max_examples=40)
def test_a_pack_cut_short_is_no_pack(cut: float) -> None:
    writer = PackWriter(STUDY, SERIES, [input_of(f"{number}.x.dcm", bytes(700)) for number in range(4)])
    pack = b"".join(writer.chunks())
    short = pack[: int(cut * len(pack))]
    with pytest.raises((DigestMismatch, Malformed)):
        opened(short)
    assert check_pack(opened(pack), iter((short,))).damaged == tuple(
        member for member in writer.members if member.range.end > len(short)
    )


def test_an_input_that_is_not_what_its_digest_says_makes_no_pack() -> None:
    good = input_of("1.x.dcm", b"good")
    bad = PackInput("2.x.dcm", good.sha256, 3, 0, 0, lambda: iter((b"bad",)))
    with pytest.raises(DigestMismatch):
        b"".join(PackWriter(STUDY, SERIES, [good, bad]).chunks())
    with pytest.raises(InvalidRequest):
        PackWriter(STUDY, SERIES, [good, good])
    with pytest.raises(InvalidRequest):
        PackWriter(STUDY, SERIES, [])


def test_long_names_and_large_members_are_within_the_format(tmp_path: Path) -> None:
    name = "~" + "ab" * 63 + "." + "0" * 16 + ".dcm"
    pack = b"".join(PackWriter(STUDY, SERIES, [input_of(name, b"long"), input_of("2.x.dcm", b"after")]).chunks())
    assert [pack[one.range.offset : one.range.end] for one in opened(pack).members] == [b"long", b"after"]
    (tmp_path / "pack").write_bytes(pack)
    assert run(tmp_path, "tar", "tf", "pack").stdout.splitlines()[:2] == [name, "2.x.dcm"]
    with (tmp_path / "large").open("wb") as file:
        file.write(tar_header("1.x.dcm", 9 << 30))
        file.seek(9 << 30, 1)
        file.write(pack)
    listed = run(tmp_path, "tar", "tf", "large")
    assert listed.returncode == 0 and listed.stderr == ""
    assert listed.stdout.splitlines()[:3] == ["1.x.dcm", name, "2.x.dcm"]


def test_without_positions_the_numbers_order() -> None:
    def header(number: int, uid: str) -> dict[str, object]:
        return {"00200013": {"vr": "IS", "Value": [number]}, "00080018": {"vr": "UI", "Value": [uid]}}

    assert volume_order([header(3, "a"), header(1, "c"), header(1, "b")]) == [2, 1, 0]
