"""An archive behind its web face, and Orthanc with its DICOMweb plugin beside it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pydicom
import pytest

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


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def orthanc_url(tmp_path_factory: pytest.TempPathFactory, archive_url: str) -> Iterator[str]:
    """Address of an Orthanc that knows the archive as DICOMweb server ``archive``."""
    program = shutil.which("Orthanc")
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    if program is None or not plugin.exists():
        pytest.skip("Orthanc with its DICOMweb plugin is not installed")
    folder = tmp_path_factory.mktemp("orthanc")
    port = _free_port()
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
    process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                if httpx2.get(f"{url}/system").status_code == 200:
                    break
            except httpx2.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()
