"""One archive behind both of its faces, divided into departments, with a study of each."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from vna_core.bootstrap import Archive, open_archive
from vna_core.bootstrap_federation import open_federation
from vna_core.configuration import Settings
from vna_core.domain.octets import Source
from vna_core.gateways.dicomweb.app import WebApplication, create_app
from vna_core.gateways.dimse import DimseServer
from vna_core.gateways.web_server import serve

PRINCIPALS = ("rad", "card", "emergency", "admin", "prometheus", "nobody")
TITLES = ("RAD", "CARD", "EMERGENCY", "UNDECIDED")


def token(name: str) -> str:
    return f"token-of-{name}"


def hospital(data: Path) -> Settings:
    """Radiology, cardiology and an emergency room; all nodes are on this machine."""
    nodes = {title: {"host": "127.0.0.1", "port": 1} for title in TITLES}
    return Settings.model_validate(
        {
            "data": data,
            "http": {"tokens": {name: hashlib.sha256(token(name).encode()).hexdigest() for name in PRINCIPALS}},
            "dimse": {"peers": nodes, "processes": 1},
            "decode": {"processes": 1},
            "departments": {
                "radiology": {
                    "principals": "rad",
                    "ae_titles": "RAD",
                    "may": ["query", "retrieve", "store", "correct", "delete"],
                },
                "cardiology": {"principals": "card", "ae_titles": "CARD"},
                "emergency-room": {"principals": "emergency", "ae_titles": "EMERGENCY"},
            },
            "federation": {
                "failures": 1_000_000,
                "members": {"heart": {"url": "dicomweb+http://127.0.0.1:1/dicom-web", "department": "cardiology"}},
            },
            "policy": {
                "grants": [{"to": "cardiology", "of": "board", "may": ["query", "retrieve"]}],
                "collections": {"board": {"holds": {"tags": {"AccessionNumber": "BOARD*"}}}},
                "break_glass": {"to": "emergency-room", "minutes": 5},
                "administrators": "admin",
                "monitors": "prometheus",
            },
        }
    )


def instance(number: int, patient: str, accession: str = "A1") -> bytes:
    """A small CT image of a study of its own."""
    ds = dcmread(get_testdata_file("CT_small.dcm", download=False))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"1.2.77.{number}", f"1.2.77.{number}.1"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.77.{number}.1.1"
    ds.PatientID, ds.PatientName, ds.AccessionNumber = patient, f"SECRET^{patient}", accession
    stream = BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@dataclass
class Hospital:
    """The archive and how to reach it."""

    archive: Archive
    app: WebApplication
    server: DimseServer
    web_port: int
    dimse_port: int
    quarantine_id: str

    def client(self, name: str) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {token(name)}"}
        return httpx2.Client(base_url=f"http://127.0.0.1:{self.web_port}", timeout=30, headers=headers)

    def offer(self, octets: bytes, source: Source) -> Any:
        with self.archive.pipeline.reception(source) as reception:
            reception.write(octets)
            return self.archive.pipeline.offer(reception.finish())


@pytest.fixture(scope="module")
def the_hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    settings = hospital(tmp_path_factory.mktemp("hospital"))
    stop = threading.Event()
    with open_archive(settings) as archive:
        federation = open_federation(archive)
        assert federation is not None
        app = create_app(
            settings, archive.pipeline, archive.catalogue, archive.retriever, archive.renderer, archive.transcoder,
            archive.stores, archive.gate, federation,
        )  # fmt: skip
        server = DimseServer(
            settings.dimse, archive.pipeline, archive.catalogue, archive.retriever, archive.transcoder, gate=archive.gate,
            federation=federation,
        )  # fmt: skip
        web, dimse = socket.create_server(("127.0.0.1", 0), backlog=64), socket.create_server(("127.0.0.1", 0), backlog=64)
        threads = [
            threading.Thread(target=serve, args=(app, web, settings.http, stop)),
            threading.Thread(target=server.serve, args=(dimse,)),
        ]
        for thread in threads:
            thread.start()
        made = Hospital(archive, app, server, web.getsockname()[1], dimse.getsockname()[1], "")
        made.offer(instance(1, "RAD1"), Source("dimse", "RAD", "127.0.0.1"))
        made.offer(instance(2, "CARD1"), Source("stow", "card", "127.0.0.1"))
        made.offer(instance(3, "RAD3", "BOARD3"), Source("dimse", "RAD", "127.0.0.1"))
        made.offer(instance(4, "LOST4"), Source("file", "folder", "/somewhere"))
        made.quarantine_id = made.offer(b"SECRET1 is no DICOM", Source("dimse", "RAD", "127.0.0.1")).quarantine_id
        yield made
        stop.set()
        server.stop()
        for thread in threads:
            thread.join()
        web.close()
        dimse.close()
        federation.close()
