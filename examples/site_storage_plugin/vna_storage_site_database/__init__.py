"""Storage backend `site-database`."""

from __future__ import annotations

from collections.abc import Mapping

from vna_storage_site_database.store import SiteDatabaseStore
from vna_core.ports.hookspecs import StoreFactory, hookimpl


@hookimpl
def register_storage_backends() -> Mapping[str, StoreFactory]:
    """The ``site-database`` backend. Options: ``path``."""
    return {"site-database": SiteDatabaseStore.open}
