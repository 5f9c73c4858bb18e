"""The way out: from the stores and the Inventory alone, with pydicom, every file is found, read and checked; and the way in again."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pydicom
import pytest

from tests.peers.dcmqrscp import dcmqrscp
from vna_core.cli.application import run
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

SLICES = 3
TOLD = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyDescription"),
    *("ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
Answer = tuple[int, list[dict[str, Any]], str]
Command = Callable[..., Answer]


@pytest.fixture
def vna(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command with --json: exit code, lines of standard output, standard error."""

    def call(*arguments: str, data: Path | None = None) -> Answer:
        code = run([*arguments, *(["--data", str(data)] if data is not None else []), "--json"])
        said = capsys.readouterr()
        return code, [json.loads(line) for line in said.out.splitlines() if line.startswith("{")], said.err

    return call


def put(folder: Path, numbers: range) -> list[bytes]:
    """Files of series, one a study, on disk."""
    folder.mkdir(parents=True)
    octets = [one for number in numbers for one in phantoms.series(SLICES, number=number)]
    for number, one in enumerate(octets):
        (folder / f"{number}.dcm").write_bytes(one)
    return octets


def inventories(root: Path) -> Iterator[pydicom.Dataset]:
    """The root and what it incorporates, by nothing but the standard."""
    head = pydicom.dcmread(root)
    assert head.InventoryCompletionStatus == "COMPLETE"
    yield head
    for one in head.get("IncorporatedInventoryInstanceSequence", ()):
        name = one.InventoryAccessEndPointsSequence[0].FileAccessURI
        part = pydicom.dcmread(root.parent / name.removeprefix("./"))
        assert part.SOPInstanceUID == one.ReferencedSOPInstanceUID
        yield part


def files(root: Path) -> Iterator[tuple[str, str, bytes]]:
    """SOP Instance UID, container and octets of every instance listed, checked against what the Inventory says of it."""
    for head in inventories(root):
        for study in head.get("InventoriedStudiesSequence", ()):
            for series in study.InventoriedSeriesSequence:
                for one in series.InventoriedInstancesSequence:
                    access = one.FileAccessSequence[0]
                    uri = access.FileAccessURI
                    path = Path(unquote(urlsplit(head.StoredInstanceBaseURI + uri.removeprefix("./")).path))
                    begin = access.get("FileOffsetInContainer", 0)
                    octets = path.read_bytes()[begin : begin + access.FileLengthInContainer]
                    assert access.MACAlgorithm == "SHA256" and hashlib.sha256(octets).digest() == access.MAC
                    yield one.SOPInstanceUID, access.ContainerFileType, octets


@pytest.mark.parametrize("packed", [False, True], ids=["files", "packs"])
def test_stores_and_inventory_are_enough_for_another_archive(vna: Command, tmp_path: Path, packed: bool) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    offered = put(tmp_path / "in", range(1, 4))
    assert vna("ingest", str(tmp_path / "in"), data=data)[0] == 0
    if packed:
        (tmp_path / "packs.yaml").write_text("packs: {quiet: 0}\n")
        assert vna("pack", "seal", "--all-settled", "--config", str(tmp_path / "packs.yaml"), data=data)[0] == 0
    code, lines, error = vna("inventory", "write", "--out", str(out), "--studies-per-file", "2", data=data)
    assert code == 0, error
    assert (lines[-1]["inventory"]["instances"], lines[-1]["inventory"]["files"], lines[-1]["inventory"]["unreachable"]) == (
        9,
        3,
        0,
    )

    found = {
        uid: octets for uid, container, octets in files(out / "inventory.dcm") if container == ("TAR" if packed else "DICOM")
    }
    (tmp_path / "read.dcm").write_bytes(b"")
    for uid, octets in found.items():
        (tmp_path / "read.dcm").write_bytes(octets)
        assert pydicom.dcmread(tmp_path / "read.dcm").SOPInstanceUID == uid
    assert len(found) == len(offered)
    code, lines, _ = vna("inventory", "read", str(out / "inventory.dcm"), "--verify")
    assert (code, lines[-1]["inventory"]["good"], lines[-1]["inventory"]["studies"]) == (0, 9, 3)

    taken_over = tmp_path / "other"
    source = f"file://{out}/inventory.dcm?root={data}/store"
    code, lines, error = vna("migrate", "run", source, data=taken_over)
    assert (code, lines[-1]["summary"]["held"]) == (0, 9), error
    assert vna("stats", data=taken_over)[1][-1]["instances"] == 9

    named = "c.0*" if packed else "*.dcm"
    damaged = next(path for path in (data / "store").rglob(named) if path.is_file())
    damaged.chmod(0o644)
    octets = damaged.read_bytes()
    damaged.write_bytes(octets[:600] + bytes([octets[600] ^ 1]) + octets[601:])
    code, lines, _ = vna("inventory", "read", str(out / "inventory.dcm"), "--verify")
    assert (code, lines[-1]["inventory"]["different"]) == (3, 1)


def test_files_outside_the_allowed_folder_are_not_read(vna: Command, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    put(tmp_path / "in", range(1, 2))
    assert vna("ingest", str(tmp_path / "in"), data=data)[0] == 0
    assert vna("inventory", "write", "--out", str(out), data=data)[0] == 0
    code, lines, _ = vna("migrate", "run", str(out / "inventory.dcm"), data=tmp_path / "other")
    assert (code, lines[-1]["summary"]["held"]) == (3, 0)  # every instance is told as failed, none is read


def test_an_inventory_lists_for_a_source_that_is_not_asked(vna: Command, tmp_path: Path) -> None:
    """What the Inventory lists and the source does not send is missing, by name: what the source would have hidden."""
    with dcmqrscp(tmp_path / "pacs") as pacs:
        for number in (1, 2):
            fill("127.0.0.1", pacs.port, "OLDPACS", phantoms.series(SLICES, number=number))
        put(tmp_path / "in", range(1, 4))
        assert vna("ingest", str(tmp_path / "in"), data=tmp_path / "theirs")[0] == 0
        assert vna("inventory", "write", "--out", str(tmp_path / "out"), data=tmp_path / "theirs")[0] == 0
        listed = str(tmp_path / "out" / "inventory.dcm")
        code, lines, error = vna("migrate", "run", pacs.source, "--inventory", listed, data=tmp_path / "ours")
        summary = lines[-1]["summary"]
        assert (code, summary["held"], summary["missing"] + summary["failed"]) == (3, 6, 3), (summary, error)
    code, lines, error = vna(
        "inventory", "write", "--campaign", pacs.source, "--out", str(tmp_path / "again"), data=tmp_path / "ours"
    )
    assert (code, lines[-1]["inventory"]["studies"], lines[-1]["inventory"]["instances"]) == (0, 3, 9), error
    assert vna("inventory", "read", str(tmp_path / "again" / "inventory.dcm"))[1][-1]["inventory"]["instances"] == 9
    for one in pydicom.dcmread(tmp_path / "again" / "inventory.dcm").InventoriedStudiesSequence:
        known = pydicom.dcmread(io.BytesIO(next(iter(phantoms.series(1, number=int(one.StudyInstanceUID.split(".")[-1]) - 1)))))
        for keyword in TOLD:
            assert one[keyword].value == known[keyword].value, keyword
        assert one.ModalitiesInStudy == "CT"
        (series,) = one.InventoriedSeriesSequence
        assert series.Modality == "CT"
        assert {instance.SOPClassUID for instance in series.InventoriedInstancesSequence} == {known.SOPClassUID}


def test_two_persons_under_one_uid_both_leave(vna: Command, tmp_path: Path) -> None:
    data, out, other = tmp_path / "data", tmp_path / "out", tmp_path / "other"
    octets = put(tmp_path / "in", range(1, 2))
    image = pydicom.dcmread(io.BytesIO(octets[0]))
    image.PatientID, image.PatientName = "ANOTHER", "Other^Person"
    image.save_as(tmp_path / "in" / "other.dcm")
    assert vna("ingest", str(tmp_path / "in"), data=data)[0] == 0
    code, lines, error = vna("inventory", "write", "--out", str(out), data=data)
    assert (code, lines[-1]["inventory"]["instances"]) == (0, SLICES + 1), error
    source = f"file://{out}/inventory.dcm?root={data}/store"
    for _ in range(2):  # the second finds everything done
        code, lines, error = vna("migrate", "run", source, data=other)
        assert code == 0, error
        summary = lines[-1]["summary"]
        assert summary["closes"] and summary["inventoried"] == SLICES + 1
        assert (summary["held"] + summary["duplicate"], summary["conflict"]) == (SLICES, 1)
    assert [vna("stats", data=one)[1][-1]["versions"] for one in (data, other)] == [SLICES + 1] * 2
    persons = {str(pydicom.dcmread(path).PatientID) for path in (other / "store").rglob("*.dcm")}
    assert persons == {"ANOTHER", str(pydicom.dcmread(io.BytesIO(octets[0])).PatientID)}
    code, worklist, _ = vna("migrate", "exceptions", source, data=other)
    reasons = {one["reason"] for one in worklist if "reason" in one}
    assert "same-uid-other-content" in reasons and "count-differs" not in reasons, (code, worklist)
