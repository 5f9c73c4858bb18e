"""PACS adapter over DICOMweb: QIDO-RS for the inventory, WADO-RS to retrieve (PS3.18)."""

from __future__ import annotations

from collections.abc import Mapping

from vna_core.ports.hookspecs import PacsFactory, hookimpl
from vna_pacs_dicomweb.adapter import DicomwebAdapter


@hookimpl
def register_pacs_adapters() -> Mapping[str, PacsFactory]:
    """``dicomweb+http://HOST:PORT/ROOT`` and ``dicomweb+https://``. Options: see `DicomwebOptions`."""
    return {"dicomweb+http": DicomwebAdapter.open, "dicomweb+https": DicomwebAdapter.open}
