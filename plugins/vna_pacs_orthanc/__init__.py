"""PACS adapter for Orthanc over its own REST interface: stored files as they are, in parallel, and its change feed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vna_core.ports.hookspecs import PacsFactory, hookimpl
from vna_core.ports.pacs import PacsAdapter


@hookimpl
def register_pacs_adapters() -> Mapping[str, PacsFactory]:
    """``orthanc+http://USER:PASSWORD@HOST:PORT`` and ``orthanc+https://``. Options: see `OrthancOptions`."""
    return {"orthanc+http": open_source, "orthanc+https": open_source}


def open_source(name: str, url: str, options: Mapping[str, Any]) -> PacsAdapter:
    """Open a source. Raises ConfigurationError."""
    from vna_pacs_orthanc.adapter import OrthancAdapter  # here: only who opens such a source waits for it

    return OrthancAdapter.open(name, url, options)
