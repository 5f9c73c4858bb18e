"""PACS adapter over DIMSE: C-FIND for the inventory, C-GET to retrieve, C-MOVE to a listener of its own where that fails."""

from __future__ import annotations

from collections.abc import Mapping

from vna_core.ports.hookspecs import PacsFactory, hookimpl
from vna_pacs_dimse.adapter import DimseAdapter


@hookimpl
def register_pacs_adapters() -> Mapping[str, PacsFactory]:
    """``dimse://CALLED@HOST:PORT``. Options: see `DimseAdapter.open`."""
    return {"dimse": DimseAdapter.open}
