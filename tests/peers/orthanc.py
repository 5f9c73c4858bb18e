"""Orthanc with synchronous storage and the DICOMweb plugin, on free ports."""

from __future__ import annotations

import contextlib
import glob
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.peers.processes import free_port, program, running, wait_for_listener


@dataclass(frozen=True)
class OrthancServer:
    """A running Orthanc."""

    process: int
    http_port: int
    dimse_port: int

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"


@contextlib.contextmanager
def orthanc(
    folder: Path, compress: bool = False, more: Mapping[str, object] = MappingProxyType({}), **environment: str
) -> Iterator[OrthancServer]:
    """Run it for as long as the block runs; its data lie below `folder`. `more` of its settings may be given."""
    binary = program("Orthanc", "orthanc")
    folder.mkdir(parents=True, exist_ok=True)
    http, dimse = free_port(), free_port()
    configuration = {
        "Name": "Peer",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "SyncStorageArea": True,
        "StorageCompression": compress,
        "LimitFindResults": 0,
        "LimitFindInstances": 0,
        "HttpPort": http,
        "DicomPort": dimse,
        "DicomAet": "ORTHANC",
        "HttpThreadsCount": 16,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "UnknownSopClassAccepted": True,
        "OverwriteInstances": False,
        "StableAge": 600,
        "Plugins": glob.glob("/usr/share/orthanc/plugins/libOrthancDicomWeb.so*")[:1],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **more,
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with running([binary, str(folder / "orthanc.json")], folder / "orthanc.log", **environment) as process:
        wait_for_listener(http, process)
        wait_for_listener(dimse, process)
        yield OrthancServer(process.pid, http, dimse)
