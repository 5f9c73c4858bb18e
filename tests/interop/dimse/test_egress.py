"""DCMTK's receivers with an egress profile by AE title get adapted objects; others get what is stored."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import pydicom
import pytest
import yaml

from tests.peers.archive import ServedArchive, served_archive, vna
from tests.peers.processes import free_port, program, running, wait_for_listener
from tests.unit.egress.egress_samples import PIXELS, image, octets_of

pytestmark = pytest.mark.xdist_group("dcmtk")
IMPLICIT, RLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.5"
RETIRED, CURRENT = "1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.6.1"
BAD_UID = "1.2.3.004"
PROFILES = {
    "profiles": {
        "latin": {
            "character_set": "ISO_IR 100",
            "transfer_syntaxes": [RLE, IMPLICIT],
            "uids": "conformant",
            "sop_classes": {"retired": "current"},
            "private": "remove",
        },
        "plain": {"character_set": "ISO_IR 100", "sop_classes": {RETIRED: CURRENT}},
    },
    "ae_titles": {"OLDWS": "latin", "PLAINWS": "plain"},
}


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {title: free_port() for title in ("OLDWS", "PLAINWS", "NEWWS")}


@pytest.fixture(scope="module")
def adapting(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[ServedArchive]:
    """An archive with profiles, two ultrasound images of a retired class and one whose name is not Latin."""
    folder = tmp_path_factory.mktemp("egress")
    peers = {title: {"host": "127.0.0.1", "port": port} for title, port in ports.items()}
    (folder / "vna.yaml").write_text(yaml.safe_dump({"egress": PROFILES, "dimse": {"peers": peers}}))
    samples = {
        "good": image(SOPClassUID=RETIRED, Modality="US"),
        "bad-uid": image(SOPClassUID=RETIRED, Modality="US", SOPInstanceUID=BAD_UID),
        "cyrillic": image(PatientName="Ковалёв^Пётр", StudyInstanceUID="1.2.3.5", SOPInstanceUID="1.2.3.5.1"),
    }
    for name, sample in samples.items():
        (folder / f"{name}.dcm").write_bytes(octets_of(sample))
        assert vna("ingest", str(folder / f"{name}.dcm"), data=folder / "data")[0] == 0
    with served_archive(folder / "data", "--config", str(folder / "vna.yaml")) as served:
        yield served


def asked(archive: ServedArchive, name: str, title: str, study: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [program(name), "-v", "-aec", "VNA", "-aet", title, "-S", *options, "-k", "QueryRetrieveLevel=STUDY"]
    command += ["-k", f"StudyInstanceUID={study}", "127.0.0.1", str(archive.dimse_port)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)


def got_by(archive: ServedArchive, title: str, folder: Path, *options: str, study: str = "1.2.3.4") -> list[pydicom.Dataset]:
    done = asked(archive, "getscu", title, study, "-od", str(folder), *options)
    assert done.returncode == 0, done.stderr
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def moved_to(
    archive: ServedArchive, title: str, port: int, folder: Path, *options: str, study: str = "1.2.3.4"
) -> list[pydicom.Dataset]:
    received = folder / "received"
    received.mkdir()
    command = [program("storescp"), *options, "-od", str(received), "-aet", title, str(port)]
    with running(command, folder / "log") as process:
        wait_for_listener(port, process)
        done = asked(archive, "movescu", "ANYBODY", study, "-aem", title)
        assert done.returncode == 0, done.stderr
        return [pydicom.dcmread(io.BytesIO(path.read_bytes())) for path in sorted(received.iterdir())]


def is_adapted(received: list[pydicom.Dataset]) -> bool:
    uids = {"1.2.3.4.1", f"2.25.{uuid5(NAMESPACE_OID, BAD_UID).int}"}
    return {str(one.SOPInstanceUID) for one in received} == uids and all(
        one.SpecificCharacterSet == "ISO_IR 100"
        and one.PatientName == "Müller^Jörg"
        and one.SOPClassUID == one.file_meta.MediaStorageSOPClassUID == CURRENT
        and (one.pixel_array == PIXELS).all()
        and not any(element.tag.is_private for element in one)
        for one in received
    )


def test_get_is_adapted_by_the_calling_title(adapting: ServedArchive, tmp_path: Path) -> None:
    received = got_by(adapting, "OLDWS", tmp_path)
    assert is_adapted(received)
    assert {one.file_meta.TransferSyntaxUID for one in received} <= {IMPLICIT, RLE}


def test_get_by_another_title_brings_what_is_stored(adapting: ServedArchive, tmp_path: Path) -> None:
    received = got_by(adapting, "NEWWS", tmp_path)
    assert {str(one.SOPInstanceUID) for one in received} == {"1.2.3.4.1", BAD_UID}
    assert {str(one.SOPClassUID) for one in received} == {RETIRED}
    code, _, _ = vna("get", "1.2.3.4.1", "-o", str(tmp_path / "stored"), data=adapting.data)
    assert code == 0
    [stored] = [pydicom.dcmread(path) for path in (tmp_path / "stored").iterdir()]
    assert next(one for one in received if one.SOPInstanceUID == "1.2.3.4.1") == stored


def test_move_is_adapted_by_the_destination(adapting: ServedArchive, ports: dict[str, int], tmp_path: Path) -> None:
    received = moved_to(adapting, "OLDWS", ports["OLDWS"], tmp_path, "+xa")
    assert is_adapted(received)
    assert {one.file_meta.TransferSyntaxUID for one in received} == {RLE}


def test_move_takes_the_next_allowed_transfer_syntax(adapting: ServedArchive, ports: dict[str, int], tmp_path: Path) -> None:
    received = moved_to(adapting, "OLDWS", ports["OLDWS"], tmp_path, "+xi")
    assert is_adapted(received)
    assert {one.file_meta.TransferSyntaxUID for one in received} == {IMPLICIT}


def test_move_without_a_list_of_transfer_syntaxes(adapting: ServedArchive, ports: dict[str, int], tmp_path: Path) -> None:
    received = moved_to(adapting, "PLAINWS", ports["PLAINWS"], tmp_path)
    assert {str(one.SOPClassUID) for one in received} == {CURRENT}
    assert {str(one.SpecificCharacterSet) for one in received} == {"ISO_IR 100"}


def test_a_peer_that_knows_the_retired_class_only_gets_that(
    adapting: ServedArchive, ports: dict[str, int], tmp_path: Path
) -> None:
    settings = tmp_path / "storescp.cfg"
    settings.write_text(
        "[[TransferSyntaxes]]\n[Any]\nTransferSyntax1 = LittleEndianExplicit\n"
        f"[[PresentationContexts]]\n[Retired]\nPresentationContext1 = {RETIRED}\\Any\n"
        "[[Profiles]]\n[Default]\nPresentationContexts = Retired\n"
    )
    received = moved_to(adapting, "PLAINWS", ports["PLAINWS"], tmp_path, "-xf", str(settings), "Default")
    assert [one.SOPClassUID for one in received] == [RETIRED, RETIRED]
    assert {str(one.SpecificCharacterSet) for one in received} == {"ISO_IR 100"}


def test_move_to_another_destination_brings_what_is_stored(
    adapting: ServedArchive, ports: dict[str, int], tmp_path: Path
) -> None:
    received = moved_to(adapting, "NEWWS", ports["NEWWS"], tmp_path)
    assert {str(one.SpecificCharacterSet) for one in received} == {"ISO_IR 192"}
    assert {str(one.SOPClassUID) for one in received} == {RETIRED}


def test_a_name_the_receiver_cannot_read_fails_its_sub_operation(
    adapting: ServedArchive, ports: dict[str, int], tmp_path: Path
) -> None:
    get = asked(adapting, "getscu", "OLDWS", "1.2.3.5", "-od", str(tmp_path))
    assert "Number of Failed Suboperations    : 1" in get.stdout + get.stderr
    assert list(tmp_path.iterdir()) == []
    command = [program("storescp"), "-od", str(tmp_path), "-aet", "OLDWS", str(ports["OLDWS"])]
    with running(command, tmp_path.with_name("log")) as process:
        wait_for_listener(ports["OLDWS"], process)
        move = asked(adapting, "movescu", "ANYBODY", "1.2.3.5", "-aem", "OLDWS", "-d")
    text = move.stdout + move.stderr
    assert "(0010,0010) cannot be written in the receiver's character set." in text
    assert re.search(r"Failed Suboperations\s*: 1\n", text) and "[1.2.3.5.1]" in text
    assert "Ковал" not in text
    assert list(tmp_path.iterdir()) == []


def test_vna_get_gives_what_a_receiver_would_get(adapting: ServedArchive, tmp_path: Path) -> None:
    config = str(adapting.data.parent / "vna.yaml")
    code, lines, _ = vna("get", "1.2.3.4", "--profile", "latin", "--config", config, "-o", str(tmp_path), data=adapting.data)
    assert code == 0 and len(lines) == 2
    assert is_adapted([pydicom.dcmread(path) for path in tmp_path.iterdir()])
    code, _, text = vna("get", "1.2.3.5", "--profile", "latin", "--config", config, "-o", str(tmp_path), data=adapting.data)
    assert code != 0 and "(0010,0010)" in text
    assert vna("get", "1.2.3.5", "--profile", "nobody", "--config", config, "-o", str(tmp_path), data=adapting.data)[0] != 0
