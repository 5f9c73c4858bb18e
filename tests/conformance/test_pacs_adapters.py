"""The adapters that ship pass the kit they ship with, against real peers."""

from __future__ import annotations

import contextlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pydicom
import pytest

from tests.peers.dcmqrscp import dcmqrscp
from tests.peers.orthanc import orthanc
from tests.peers.processes import free_port
from vna_core.ports.pacs import PacsAdapter
from vna_core.testing.fill import fill
from vna_core.testing.pacs_conformance import Held, PacsConformance
from vna_pacs_dicomweb.adapter import DicomwebAdapter
from vna_pacs_dimse.adapter import DimseAdapter
from vna_pacs_media.adapter import MediaAdapter
from vna_pacs_orthanc.adapter import OrthancAdapter

pytestmark = pytest.mark.xdist_group("pacs-adapters")


class WithPeer(PacsConformance):
    """Peers run for as long as the tests of a class do."""

    running: contextlib.ExitStack

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def peers(cls) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            cls.running = stack
            yield


def filled_orthanc(stack: contextlib.ExitStack, held: Held, folder: Path) -> str:
    """An Orthanc that holds the files as they are; its address without the scheme."""
    server = stack.enter_context(orthanc(folder))
    for octets in held.files:
        httpx2.post(f"{server.web}/instances", content=octets).raise_for_status()
    return server.web.removeprefix("http://")


class TestDimseGet(WithPeer):
    """C-GET from DCMTK's dcmqrscp."""

    def open_source(self, held: Held, folder: Path) -> PacsAdapter:
        pacs = self.running.enter_context(dcmqrscp(folder))
        assert fill("127.0.0.1", pacs.port, "OLDPACS", held.files).accepted == len(held.files)
        return DimseAdapter.open("old", pacs.source, {})

    def unreachable(self, folder: Path) -> PacsAdapter:
        return DimseAdapter.open("old", f"dimse://OLDPACS@127.0.0.1:{free_port()}", {})


class TestDimseMove(WithPeer):
    """C-MOVE from dcmqrscp to our own listener."""

    def open_source(self, held: Held, folder: Path) -> PacsAdapter:
        pacs = self.running.enter_context(dcmqrscp(folder))
        assert fill("127.0.0.1", pacs.port, "OLDPACS", held.files).accepted == len(held.files)
        return DimseAdapter.open("old", pacs.source, {"retrieve": "move", "move_port": pacs.move_port})

    def unreachable(self, folder: Path) -> PacsAdapter:
        return DimseAdapter.open("old", f"dimse://OLDPACS@127.0.0.1:{free_port()}", {"move_port": free_port()})


class TestDimseOrthanc(WithPeer):
    """C-GET from Orthanc."""

    def open_source(self, held: Held, folder: Path) -> PacsAdapter:
        server = self.running.enter_context(orthanc(folder))
        assert fill("127.0.0.1", server.dimse_port, "ORTHANC", held.files).accepted == len(held.files)
        return DimseAdapter.open("old", f"dimse://ORTHANC@127.0.0.1:{server.dimse_port}", {})


class TestDicomweb(WithPeer):
    """QIDO-RS and WADO-RS of Orthanc's DICOMweb plugin, with pages smaller than the answer."""

    name_pattern = "*4*"  # the plugin of Orthanc 1.10 decodes neither caret nor space of a value (vendor behaviour)

    def open_source(self, held: Held, folder: Path) -> PacsAdapter:
        address = filled_orthanc(self.running, held, folder)
        return DicomwebAdapter.open("web", f"dicomweb+http://{address}/dicom-web?page=2", {})

    def unreachable(self, folder: Path) -> PacsAdapter:
        return DicomwebAdapter.open("web", f"dicomweb+http://127.0.0.1:{free_port()}/dicom-web", {})


class TestOrthanc(WithPeer):
    """Orthanc's own interface, digests included."""

    def open_source(self, held: Held, folder: Path) -> PacsAdapter:
        address = filled_orthanc(self.running, held, folder)
        return OrthancAdapter.open("orthanc", f"orthanc+http://{address}?page=2&digests=true", {})

    def unreachable(self, folder: Path) -> PacsAdapter:
        return OrthancAdapter.open("orthanc", f"orthanc+http://127.0.0.1:{free_port()}", {})


class TestFolder(PacsConformance):
    """A tree of files, with other files between them."""

    def open_source(self, held: Held, folder: Path) -> PacsAdapter:
        for number, octets in enumerate(held.files):
            place = folder / f"level{number % 3}" / f"IM{number}"
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(octets)
        (folder / "README.TXT").write_text("Insert the disc and wait.")
        (folder / "empty").touch()
        return MediaAdapter.open("folder", str(folder), {})

    def unreachable(self, folder: Path) -> PacsAdapter:
        (folder / "unmounted").mkdir()
        adapter = MediaAdapter.open("folder", str(folder / "unmounted"), {})
        (folder / "unmounted").rmdir()
        return adapter


class TestZip(PacsConformance):
    """A ZIP file."""

    def open_source(self, held: Held, folder: Path) -> PacsAdapter:
        with zipfile.ZipFile(folder / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for number, octets in enumerate(held.files):
                archive.writestr(f"DICOM/IM{number}", octets)
        return MediaAdapter.open("zip", f"file://{folder}/export.zip", {})


class TestTar(PacsConformance):
    """A TAR file, read from anywhere."""

    mode = "w"

    def open_source(self, held: Held, folder: Path) -> PacsAdapter:
        for number, octets in enumerate(held.files):
            (folder / f"IM{number}").write_bytes(octets)
        with tarfile.open(folder / "export.tar", self.mode) as archive:  # type: ignore[call-overload]
            for number in range(len(held.files)):
                archive.add(folder / f"IM{number}", f"DICOM/IM{number}")
        return MediaAdapter.open("tar", str(folder / "export.tar"), {})


class TestCompressedTar(TestTar):
    """A compressed TAR file, which has to be read in order."""

    mode = "w:gz"


class TestOrthancFolder(WithPeer):
    """The storage folder of an Orthanc that compresses, read without it."""

    def open_source(self, held: Held, folder: Path) -> PacsAdapter:
        with orthanc(folder, compress=True) as server:
            for octets in held.files:
                httpx2.post(f"{server.web}/instances", content=octets).raise_for_status()
        return MediaAdapter.open("orthanc-folder", str(folder / "storage"), {})


def java_hash(text: str) -> str:
    """What dcm4chee's ``{0020000D,hash}`` makes of a UID: `String.hashCode` in eight hexadecimal digits (vendor behaviour)."""
    value = 0
    for character in text:
        value = (value * 31 + ord(character)) & 0xFFFFFFFF
    return f"{value:08X}"


class TestDcm4cheeFolder(PacsConformance):
    """The storage folder of a dcm4chee: a folder a day, then hashes of UIDs; version 2 has an hour below the day."""

    def open_source(self, held: Held, folder: Path) -> PacsAdapter:
        for octets in held.files:
            instance = pydicom.dcmread(io.BytesIO(octets), stop_before_pixels=True)
            day = "2024/05/17" if instance.StudyInstanceUID != held.study(2) else "2009/3/9/14"
            uids = (instance.StudyInstanceUID, instance.SeriesInstanceUID, instance.SOPInstanceUID)
            place = folder / "fs1" / day / "/".join(map(java_hash, uids))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(octets)
        return MediaAdapter.open("dcm4chee-folder", str(folder / "fs1"), {})
