"""The backend does what every store of the archive must: the conformance kit, inherited."""

from __future__ import annotations

from pathlib import Path

from vna_storage_site_database.store import SiteDatabaseStore
from vna_core.plugin_manager import Plugins
from vna_core.ports.storage import Store
from vna_core.testing.storage_conformance import StoreConformance


class TestSiteDatabaseStore(StoreConformance):
    def open_store(self, folder: Path) -> Store:
        return SiteDatabaseStore.open("ours", {"path": str(folder / "objects.sqlite")})

    def unavailable(self, folder: Path) -> Store:
        store = self.open_store(folder)
        with store._database() as database:  # type: ignore[attr-defined]
            database.execute("DROP TABLE piece")
            database.execute("DROP TABLE object")
        return store

    def full(self, folder: Path) -> Store:
        store = self.open_store(folder)
        with store._database() as database:  # type: ignore[attr-defined]
            database.execute("PRAGMA max_page_count = 20")
        return store


def test_the_archive_finds_the_backend() -> None:
    plugins = Plugins()
    plugins.load()
    assert "site-database" in plugins.storage_backends()
