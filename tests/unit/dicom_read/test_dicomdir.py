"""A DICOMDIR comes from whoever made the medium: reading it is bounded."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from vna_core.dicom.offered_files import offered_files


def test_a_deflated_dicomdir_is_not_inflated(tmp_path: Path) -> None:
    ds = dcmread(get_testdata_file("DICOMDIR", download=False))
    whole = BytesIO()
    ds.save_as(whole)
    data_set = whole.getvalue()[144 + ds.file_meta.FileMetaInformationGroupLength :]
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = BytesIO()
    write_file_meta_info(head, ds.file_meta)
    path = tmp_path / "DICOMDIR"
    engine = zlib.compressobj(wbits=-15)
    path.write_bytes(bytes(128) + b"DICM" + head.getvalue() + engine.compress(data_set) + engine.flush())
    assert len(dcmread(path).DirectoryRecordSequence) == len(ds.DirectoryRecordSequence), "it could be read"
    found = list(offered_files([path]))
    assert [one.path for one in found] == [str(path), f"{path}!records"]
    assert found[1].error is not None
    assert "compressed" in found[1].error.message
