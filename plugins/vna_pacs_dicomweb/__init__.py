"""PACS adapter over DICOMweb: QIDO-RS for the inventory, WADO-RS to retrieve (PS3.18)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vna_core.ports.hookspecs import PacsFactory, hookimpl
from vna_core.ports.pacs import PacsAdapter


@hookimpl
def register_pacs_adapters() -> Mapping[str, PacsFactory]:
    """``dicomweb+http://HOST:PORT/ROOT`` and ``dicomweb+https://``. Options: see `DicomwebOptions`."""
    return {"dicomweb+http": open_source, "dicomweb+https": open_source}


def open_source(name: str, url: str, options: Mapping[str, Any]) -> PacsAdapter:
    """Open a source. Raises ConfigurationError."""
    from vna_pacs_dicomweb.adapter import DicomwebAdapter  # here: only who opens such a source waits for it

    return DicomwebAdapter.open(name, url, options)
