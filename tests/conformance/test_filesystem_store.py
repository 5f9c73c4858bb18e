"""The filesystem store, and the same without unnamed temporary files, do what every store must."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vna_core.ports.storage import Store
from vna_core.testing.storage_conformance import StoreConformance
from vna_storage_filesystem.store import FilesystemStore


class TestFilesystemStore(StoreConformance):
    def open_store(self, folder: Path) -> Store:
        return FilesystemStore("files", folder / "store")

    def unavailable(self, folder: Path) -> Store:
        store = self.open_store(folder)
        store.create("a", [b"x"])
        (folder / "store").rename(folder / "unmounted")
        return store


class TestFilesystemStoreWithNamedTemporaryFiles(StoreConformance):
    """As on a file system without O_TMPFILE (NFS)."""

    @pytest.fixture(autouse=True)
    def no_unnamed_files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.open

        def refuse(path: str, flags: int, mode: int = 0o777, **options: int) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "not supported")
            return real(path, flags, mode, **options)

        monkeypatch.setattr(os, "open", refuse)

    def open_store(self, folder: Path) -> Store:
        return FilesystemStore("files", folder / "store")
