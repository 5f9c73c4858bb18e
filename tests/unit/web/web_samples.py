"""Samples and bodies for the web tests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pydicom

from vna_core.access.retrieve import Retriever
from vna_core.catalogue import Catalogue
from vna_core.gateways.dicomweb.app import WebApplication
from vna_core.ingest.pipeline import IngestPipeline

SAMPLES = Path(os.path.dirname(pydicom.__file__)) / "data" / "test_files"


@dataclass
class Web:
    """A running web face: its address, and the parts behind it."""

    address: tuple[str, int]
    app: WebApplication
    catalogue: Catalogue
    pipeline: IngestPipeline
    retriever: Retriever
    data: Path

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def client(self, **options: object) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=30, **options)  # type: ignore[arg-type]


def multipart(parts: list[bytes], boundary: str = "limit", content_type: str = "application/dicom") -> bytes:
    """A multipart body of instances."""
    head = f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode()
    return b"".join(head + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()


CONTENT_TYPE = 'multipart/related; type="application/dicom"; boundary=limit'


def store(client: httpx2.Client, parts: list[bytes], path: str = "/dicom-web/studies") -> httpx2.Response:
    """Send instances by STOW-RS."""
    return client.post(path, content=multipart(parts), headers={"Content-Type": CONTENT_TYPE})


def sample(name: str) -> bytes:
    """A file that ships with pydicom."""
    return (SAMPLES / name).read_bytes()
