"""Single values of a stored object are found by their path with few range reads."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from vna_core.configuration import IngestSettings
from vna_core.dicom.stored_object import element_range
from vna_core.domain.errors import InvalidRequest, NotFound
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import normalize

SAMPLES = bytes(range(256)) * 2
BLOB = bytes(reversed(range(200)))


def stored() -> bytes:
    inner = Dataset()
    inner.add_new(0x00090010, "LO", "ACME")
    inner.add_new(0x00091010, "OB", BLOB)
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID, one.StudyInstanceUID, one.SeriesInstanceUID = CTImageStorage, "1.2.4", "1.2.1", "1.2.2"
    one.ReferencedImageSequence = Sequence([Dataset(), inner])
    one.Rows = one.Columns = 16
    one.BitsAllocated, one.SamplesPerPixel = 16, 1
    one.PixelData = SAMPLES
    one.DigitalSignaturesSequence = Sequence([inner])
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, one, enforce_file_format=True)
    octets = stream.getvalue()
    received = ReceivedInstance(
        Octets(len(octets), hashlib.sha256(octets).hexdigest(), octets), Source("file"), datetime(2026, 11, 24, tzinfo=UTC)
    )
    return b"".join(normalize(received, identify(received, IngestSettings()), IngestSettings()).chunks())


OBJECT = stored()


def read(offset: int, length: int) -> bytes:
    return OBJECT[offset : offset + length]


@pytest.mark.parametrize(
    ("path", "value", "vr"),
    [
        ("7FE00010", SAMPLES, "OW"),
        ("7fe00010", SAMPLES, "OW"),
        ("00081140/1/00091010", BLOB, "OB"),
        ("FFFAFFFA/0/00091010", BLOB, "OB"),
        ("00080018", b"1.2.4\0", "UI"),
    ],
)
def test_a_value_is_where_the_range_says(path: str, value: bytes, vr: str) -> None:
    where, found = element_range(read, len(OBJECT), path)
    assert (OBJECT[where.offset : where.end], found) == (value, vr)


@pytest.mark.parametrize("path", ["00100010", "00081140/0/00091010", "00081140/2/00091010", "00080018/0/00091010"])
def test_what_is_not_there_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        element_range(read, len(OBJECT), path)


@pytest.mark.parametrize(
    "path", ["", "0010", "00081140/1", "00081140/x/00091010", "../../etc", "00081140/-1/00091010", "0x081140"]
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest):
        element_range(read, len(OBJECT), path)


def test_finding_a_value_never_reads_the_pixels() -> None:
    seen: list[tuple[int, int]] = []

    def watched(offset: int, length: int) -> bytes:
        seen.append((offset, length))
        return read(offset, length)

    element_range(watched, len(OBJECT), "00080018")
    assert len(seen) <= 5
