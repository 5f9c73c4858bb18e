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


class TestFilesystemStoreThatFlushesNothing(StoreConformance):
    """For what can be had again: it does not claim to be durable, and does not pay for it."""

    landing = False

    def open_store(self, folder: Path) -> Store:
        store = FilesystemStore.open("files", {"path": str(folder / "store"), "durable": False})
        assert not store.abilities().durable_create
        return store

    def test_nothing_is_flushed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = self.open_store(tmp_path)
        store.create("a/b", [b"x"])
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, lambda descriptor: pytest.fail("it waited for the disk"))
        store.create("a/c", [b"y"])
        assert store.read("a/c") == b"y"


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
