"""Samples and bodies for the web tests."""

from __future__ import annotations

import os
from pathlib import Path

import httpx2
import pydicom

SAMPLES = Path(os.path.dirname(pydicom.__file__)) / "data" / "test_files"


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
