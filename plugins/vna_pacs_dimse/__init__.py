"""PACS adapter over DIMSE: C-FIND for the inventory, C-GET to retrieve, C-MOVE to a listener of its own where that fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vna_core.ports.hookspecs import PacsFactory, hookimpl
from vna_core.ports.pacs import PacsAdapter


@hookimpl
def register_pacs_adapters() -> Mapping[str, PacsFactory]:
    """``dimse://CALLED@HOST:PORT``, and ``dimses://`` with TLS. Options: see `DimseAdapter.open`."""
    return {"dimse": open_source, "dimses": open_source}


def open_source(name: str, url: str, options: Mapping[str, Any]) -> PacsAdapter:
    """Open a source. Raises ConfigurationError."""
    from vna_pacs_dimse.adapter import DimseAdapter  # here: only who opens such a source waits for it

    return DimseAdapter.open(name, url, options)
