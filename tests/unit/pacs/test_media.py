"""Media and folders: what is no image is left out, what should be one and cannot be read is told, and nothing outside is touched."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.fileset import FileSet

from vna_core.dicom.first_elements import first_elements
from vna_core.domain.errors import ConfigurationError, PeerUnavailable, Unarchivable, VnaError
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.query import Level, Query
from vna_core.ports.pacs import FetchReport
from vna_core.testing import phantoms
from vna_core.testing.material import wheel_files
from vna_pacs_media.adapter import MediaAdapter
from vna_pacs_media.reading import WANTED, indexed, is_attachment


def taken(adapter: MediaAdapter) -> tuple[list[bytes], list[FetchReport]]:
    """Everything an adapter can deliver."""
    octets: list[bytes] = []

    def deliver(received: ReceivedInstance) -> None:
        octets.append(b"".join(bytes(piece) for piece in received.octets.chunks()))
        received.octets.close()

    studies = [one["0020000D"]["Value"][0] for one in adapter.find(Query(Level.STUDY))]
    return octets, [adapter.fetch(study, deliver) for study in studies]


def opened(path: Path) -> MediaAdapter:
    return MediaAdapter.open("medium", str(path), {})


def test_a_dicomdir_gives_what_it_names_and_tells_what_is_not_there(tmp_path: Path) -> None:
    files = FileSet()
    for octets in phantoms.series(3, 1, 16, 16):
        files.add(pydicom.dcmread(io.BytesIO(octets)))
    files.write(tmp_path)
    (tmp_path / "beside.dcm").write_bytes(phantoms.ct(5000, 16, 16))
    octets, reports = taken(opened(tmp_path / "DICOMDIR"))
    assert len(octets) == 3 and sum(report.failed for report in reports) == 0
    next(path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ("DICOMDIR", "beside.dcm")).unlink()
    octets, reports = taken(opened(tmp_path / "DICOMDIR"))
    assert len(octets) == 2 and sum(report.failed for report in reports) == 1


def test_every_file_that_says_it_is_dicom_is_inventoried(tmp_path: Path) -> None:
    whole = phantoms.ct(1, 16, 16)
    (tmp_path / "whole.dcm").write_bytes(whole)
    (tmp_path / "cut.dcm").write_bytes(phantoms.ct(2, 16, 16)[:200])
    (tmp_path / "no_study.dcm").write_bytes(phantoms.odd()["no_study_no_series"].octets)
    (tmp_path / "bare").write_bytes(phantoms.odd()["bare_implicit"].octets)
    (tmp_path / "letter.txt").write_text("Dear colleague")
    adapter = opened(tmp_path)
    octets, reports = taken(adapter)
    assert sorted(octets) == sorted(path.read_bytes() for path in tmp_path.iterdir() if path.name != "letter.txt")
    assert adapter.statistics().instances == 4 == sum(report.delivered for report in reports)
    uids = [
        one.sop_instance_uid
        for study in adapter.find(Query(Level.STUDY))
        for one in adapter.inventory(study["0020000D"]["Value"][0])
    ]
    assert len(set(uids)) == 4 and all(uids)


@pytest.mark.parametrize("name", sorted(phantoms.odd()))
def test_odd_files_are_found_or_left_out_as_their_octets_say(name: str, tmp_path: Path) -> None:
    phantom = phantoms.odd()[name]
    (tmp_path / name).write_bytes(phantom.octets)
    octets, _ = taken(opened(tmp_path))
    assert octets == ([] if name == "not_dicom" else [phantom.octets])


def test_headers_beside_their_files_are_left_out_of_an_orthanc_folder(tmp_path: Path) -> None:
    whole = phantoms.ct(1, 16, 16)
    folder = tmp_path / "0a" / "1b"
    folder.mkdir(parents=True)
    attachments = {
        "0a1b0000-0000-4000-8000-000000000001": struct.pack("<Q", len(whole)) + zlib.compress(whole),
        "0a1b0000-0000-4000-8000-000000000002": whole[: whole.index(b"\xe0\x7f\x10\x00")],
        "0a1b0000-0000-4000-8000-000000000003": b'{"0008,0005": {"Name": "SpecificCharacterSet"}}',
    }
    for name, octets in attachments.items():
        (folder / name).write_bytes(octets)
        assert is_attachment(str(folder / name))
    octets, reports = taken(opened(tmp_path))
    assert octets == [whole] and sum(report.failed for report in reports) == 0


def test_a_compressed_file_that_lies_about_its_length_is_told(tmp_path: Path) -> None:
    whole = phantoms.ct(1, 16, 16)
    (tmp_path / "short").write_bytes(struct.pack("<Q", len(whole) - 10) + zlib.compress(whole))
    (tmp_path / "endless").write_bytes(struct.pack("<Q", 1 << 60) + zlib.compress(whole))
    octets, reports = taken(opened(tmp_path))
    assert octets == [] and sum(report.failed for report in reports) == 2


def test_a_zip_bomb_is_not_unfolded(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", bytes(128) + b"DICM" + bytes(80 << 20))
    octets, reports = taken(opened(tmp_path / "bomb.zip"))
    assert octets == [] and [report.failed for report in reports] == [1]


def test_a_dicomdir_reaches_nothing_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.dcm").write_bytes(phantoms.ct(1, 16, 16))
    disc = tmp_path / "disc"
    disc.mkdir()
    files = FileSet()
    files.add(pydicom.dcmread(io.BytesIO(phantoms.ct(2, 16, 16))))
    files.write(disc)
    directory = pydicom.dcmread(disc / "DICOMDIR")
    for record in directory.DirectoryRecordSequence:
        if "ReferencedFileID" in record:
            record.ReferencedFileID = ["..", "secret.dcm"]
    directory.save_as(disc / "DICOMDIR")
    octets, reports = taken(opened(disc / "DICOMDIR"))
    assert octets == [] and sum(report.failed for report in reports) == 1


def test_a_file_name_that_is_no_text_is_read(tmp_path: Path) -> None:
    whole = phantoms.ct(1, 16, 16)
    (tmp_path / b"\xff\xfe.dcm".decode("utf-8", "surrogateescape")).write_bytes(whole)
    assert taken(opened(tmp_path))[0] == [whole]


def test_a_medium_that_is_taken_out_is_told(tmp_path: Path) -> None:
    disc = tmp_path / "disc"
    disc.mkdir()
    (disc / "a.dcm").write_bytes(phantoms.ct(1, 16, 16))
    gone, looked_at = opened(disc), opened(disc)
    looked_at.probe()
    (disc / "a.dcm").unlink()
    octets, reports = taken(looked_at)
    assert octets == [] and [report.failed for report in reports] == [1]
    disc.rmdir()
    with pytest.raises(PeerUnavailable):
        gone.probe()


@pytest.mark.parametrize("url", ["/no/such/folder", "file://elsewhere/x", "file:///?colour=red"])
def test_what_cannot_be_meant_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        MediaAdapter.open("medium", url, {})


def test_headers_of_real_files_are_read_as_pydicom_reads_them() -> None:
    compared = 0
    for octets in wheel_files():
        expected = pydicom.dcmread(io.BytesIO(octets), stop_before_pixels=True, force=True)
        try:
            found = first_elements(octets, WANTED).values
        except Unarchivable:
            continue
        for tag in (0x00080018, 0x0020000D, 0x0020000E, 0x00100020):
            if tag in expected and expected[tag].value:
                assert found.get(tag) == (str(expected[tag].value),)
                compared += 1
    assert compared > 150


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_headers_raise_what_is_expected_and_never_more(data: st.DataObject) -> None:
    octets = bytearray(phantoms.ct(1, 8, 8)[:2500])
    for _ in range(data.draw(st.integers(1, 8))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(octets[: data.draw(st.integers(1, len(octets)))])
    try:
        indexed("place", io.BytesIO(cut))
    except VnaError:
        pytest.fail("a damaged file is no error of the medium")
