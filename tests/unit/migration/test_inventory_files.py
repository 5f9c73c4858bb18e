"""Inventory instances: what is written reads back the same, other libraries read it, and what is damaged or unfinished is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filereader import dcmread

from vna_core.dicom.inventory_tree import inventoried_studies
from vna_core.dicom.inventory_writing import InventoryFile
from vna_core.domain.errors import InvalidRequest, Malformed, NotDicom, VnaError
from vna_core.domain.inventory_records import (
    TAR,
    FileAccess,
    InstanceRecord,
    SeriesRecord,
    StudyRecord,
)
from vna_core.migration.inventory_files import InventoryWriter

text = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\\"), min_size=1, max_size=20).map(
    lambda one: one.strip(" \0") or "x"
)
uids = st.integers(1, 10**30).map(lambda number: f"2.25.{number}")
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
files = st.builds(
    FileAccess,
    uri=text.map(lambda one: f"s3://bucket/{one}"),
    container=st.just(TAR),
    member=text,
    offset=st.integers(0, 2**63),
    length=st.integers(0, 2**40),
    transfer_syntax_uid=uids,
    sha256=digests,
)
instances = st.builds(InstanceRecord, uids, uids, st.integers(1, 999).map(str), st.lists(files, max_size=2).map(tuple))
series = st.builds(
    SeriesRecord,
    st.fixed_dictionaries({0x0020000E: uids.map(lambda one: (one,)), 0x00080060: st.just(("CT",))}),
    st.lists(instances, max_size=3).map(tuple),
)
studies = st.builds(
    StudyRecord,
    st.fixed_dictionaries(
        {0x0020000D: uids.map(lambda one: (one,)), 0x00100010: text.map(lambda one: (one,)), 0x00080061: st.just(("CT", "MR"))}
    ),
    st.lists(series, max_size=3).map(tuple),
)


def written(folder: Path, records: list[StudyRecord], per_file: int = 100) -> Path:
    return InventoryWriter(folder).write(iter(records), len(records), per_file).path


def own(record: StudyRecord) -> tuple[object, ...]:
    """A record without what the writer adds: counts and times."""
    added = {0x00080404, 0x00201206, 0x00201208, 0x00201209}

    def kept(attributes: object) -> dict[int, tuple[str, ...]]:
        assert isinstance(attributes, dict)
        return {tag: values for tag, values in attributes.items() if tag not in added}

    return kept(record.attributes), tuple((kept(one.attributes), one.instances) for one in record.series)


@settings(max_examples=40, deadline=None)
@given(records=st.lists(studies, max_size=5), per_file=st.integers(1, 5))
def test_what_is_written_reads_back(tmp_path_factory: pytest.TempPathFactory, records: list[StudyRecord], per_file: int) -> None:
    root = written(tmp_path_factory.mktemp("inventory"), records, per_file)
    assert [own(one) for one in inventoried_studies(root)] == [own(one) for one in records]


def some(count: int) -> list[StudyRecord]:
    return [
        StudyRecord(
            {0x0020000D: (f"2.25.{number}",), 0x00100010: ("Müller^Ünal",)},
            (
                SeriesRecord(
                    {0x0020000E: (f"2.25.{number}1",)}, (InstanceRecord(f"2.25.{number}11", "1.2.840.10008.5.1.4.1.1.2"),)
                ),
            ),
        )
        for number in range(1, count + 1)
    ]


def test_another_library_reads_it(tmp_path: Path) -> None:
    root = pydicom.dcmread(written(tmp_path, some(5), 2))
    assert root.file_meta.MediaStorageSOPClassUID == root.SOPClassUID == pydicom.uid.InventoryStorage
    assert (root.InventoryCompletionStatus, root.TotalNumberOfStudyRecords, root.InventoryLevel) == ("COMPLETE", 5, "INSTANCE")
    named = [one.ReferencedSOPInstanceUID for one in root.IncorporatedInventoryInstanceSequence]
    parts = [dcmread(tmp_path / f"inventory-{number:05}.dcm") for number in (1, 2, 3)]
    assert named == [part.SOPInstanceUID for part in parts]
    assert [part.InventoryCompletionStatus for part in parts] == ["PARTIAL"] * 3
    listed = [study for part in parts for study in part.InventoriedStudiesSequence]
    assert [study.StudyInstanceUID for study in listed] == [f"2.25.{number}" for number in range(1, 6)]
    assert str(listed[0].PatientName) == "Müller^Ünal"
    assert listed[0].InventoriedSeriesSequence[0].InventoriedInstancesSequence[0].SOPInstanceUID == "2.25.111"


def test_one_that_another_library_wrote_is_read(tmp_path: Path) -> None:
    source = pydicom.dcmread(written(tmp_path / "a", some(3)))
    for name, syntax in (("implicit", pydicom.uid.ImplicitVRLittleEndian), ("explicit", pydicom.uid.ExplicitVRLittleEndian)):
        source.file_meta.TransferSyntaxUID = syntax
        source.InventoriedStudiesSequence.is_undefined_length = False
        source.save_as(tmp_path / name, implicit_vr=name == "implicit", little_endian=True)
        assert [own(one) for one in inventoried_studies(tmp_path / name)] == [own(one) for one in some(3)]


def test_an_inventory_is_never_overwritten(tmp_path: Path) -> None:
    written(tmp_path, some(1))
    before = (tmp_path / "inventory.dcm").read_bytes()
    with pytest.raises(InvalidRequest, match="another folder"):
        written(tmp_path, some(2))
    assert (tmp_path / "inventory.dcm").read_bytes() == before


def test_a_failure_leaves_no_inventory(tmp_path: Path) -> None:
    def breaks() -> Iterator[StudyRecord]:
        yield from some(2)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        InventoryWriter(tmp_path).write(breaks(), 2)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_complete_is_refused(tmp_path: Path) -> None:
    root = written(tmp_path, some(4), 2)
    part = tmp_path / "inventory-00001.dcm"
    with pytest.raises(Malformed, match="not say that it is complete"):
        list(inventoried_studies(part))
    assert len(list(inventoried_studies(part, partial=True))) == 2
    part.unlink()
    with pytest.raises(NotDicom, match="not beside it"):
        list(inventoried_studies(root))


def test_a_file_that_ends_early_anywhere_is_an_error_or_has_all_records(tmp_path: Path) -> None:
    with InventoryFile(tmp_path / "good.dcm", "2.25.1", taken_at=datetime(2026, 1, 1, tzinfo=UTC)) as file:
        file.finish(some(1), whole=True)
    octets, whole = (tmp_path / "good.dcm").read_bytes(), list(inventoried_studies(tmp_path / "good.dcm"))
    refused = 0
    for length in range(len(octets)):
        (tmp_path / "cut.dcm").write_bytes(octets[:length])
        try:
            assert list(inventoried_studies(tmp_path / "cut.dcm")) == whole
        except VnaError:
            refused += 1
    assert refused > len(octets) * 0.9


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_is_cut_or_changed_is_an_error_of_ours_or_a_whole_answer(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    with InventoryFile(folder / "good.dcm", "2.25.1", taken_at=datetime(2026, 1, 1, tzinfo=UTC)) as file:
        file.finish(some(2), whole=True)
    octets = bytearray((folder / "good.dcm").read_bytes())
    if data.draw(st.booleans()):
        octets = octets[: data.draw(st.integers(0, len(octets) - 1))]
    else:
        octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / "bad.dcm").write_bytes(octets)
    try:
        found = list(inventoried_studies(folder / "bad.dcm"))
    except VnaError:
        return
    assert len(found) == 2  # an octet of a value was changed: all records are there


def test_a_partial_file_is_no_inventory(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), InventoryFile(tmp_path / "x.dcm", "2.25.1"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
