"""PACS adapter for Orthanc over its own REST interface: stored files as they are, in parallel, and its change feed."""

from __future__ import annotations

from collections.abc import Mapping

from vna_core.ports.hookspecs import PacsFactory, hookimpl
from vna_pacs_orthanc.adapter import OrthancAdapter


@hookimpl
def register_pacs_adapters() -> Mapping[str, PacsFactory]:
    """``orthanc+http://USER:PASSWORD@HOST:PORT`` and ``orthanc+https://``. Options: see `OrthancOptions`."""
    return {"orthanc+http": OrthancAdapter.open, "orthanc+https": OrthancAdapter.open}
