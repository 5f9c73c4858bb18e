"""Azure storage backend: a container of Azure Blob Storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vna_core.ports.hookspecs import StoreFactory, hookimpl
from vna_core.ports.storage import Store
from vna_core.ports.store_options import checked_options, needs_extra
from vna_storage_azure.options import AzureOptions


@hookimpl
def register_storage_backends() -> Mapping[str, StoreFactory]:
    """The ``azure`` backend. Options: see `AzureOptions`."""
    return {"azure": open_store}


def open_store(name: str, options: Mapping[str, Any]) -> Store:
    """Open a container. Raises ConfigurationError, StoreRefused, StoreUnavailable."""
    checked = checked_options(AzureOptions, name, "azure", options)
    try:
        from vna_storage_azure.store import AzureStore  # the libraries are slow to import: only who uses them waits
    except ImportError as error:
        raise needs_extra(name, "azure", "azure", error) from error
    return AzureStore(name, checked)
