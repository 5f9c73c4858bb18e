"""An archive behind its web face, and Orthanc with its DICOMweb plugin beside it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pydicom
import pytest

from tests.peers.processes import free_port, running, wait_for_listener
from vna_core.bootstrap import open_archive
from vna_core.configuration import Settings
from vna_core.gateways.dicomweb.app import create_app
from vna_core.gateways.web_server import serve

SAMPLES = Path(os.path.dirname(pydicom.__file__)) / "data" / "test_files"


@pytest.fixture(scope="session")
def samples() -> list[Path]:
    """Files that every peer takes: native, RLE, JPEG 2000, several frames, colour."""
    names = ("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_jpeg_dcmtk.dcm")
    return [SAMPLES / name for name in names]


@pytest.fixture(scope="session")
def archive_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running, empty archive."""
    archive = open_archive(Settings(data=tmp_path_factory.mktemp("archive")))
    app = create_app(
        archive.settings,
        archive.pipeline,
        archive.catalogue,
        archive.retriever,
        archive.renderer,
        archive.transcoder,
        archive.stores,
    )
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(app, listening, archive.settings.http, stop))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    stop.set()
    thread.join()
    listening.close()
    archive.close()


@pytest.fixture(scope="session")
def orthanc_url(tmp_path_factory: pytest.TempPathFactory, archive_url: str) -> Iterator[str]:
    """Address of an Orthanc that knows the archive as DICOMweb server ``archive``."""
    program = shutil.which("Orthanc")
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    if program is None or not plugin.exists():
        pytest.skip("Orthanc with its DICOMweb plugin is not installed")
    folder = tmp_path_factory.mktemp("orthanc")
    port = free_port()
    configuration = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "LimitFindResults": 0,
        "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Servers": {"archive": [f"{archive_url}/dicom-web/"]}},
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with running([program, str(folder / "orthanc.json")], folder / "orthanc.log") as process:
        wait_for_listener(port, process)
        url = f"http://127.0.0.1:{port}"
        assert httpx2.get(f"{url}/system", timeout=60).status_code == 200
        yield url
