"""Filesystem storage backend: a directory in which every acknowledged object survives a power loss."""

from __future__ import annotations

from collections.abc import Mapping

from vna_core.ports.hookspecs import StoreFactory, hookimpl
from vna_storage_filesystem.store import FilesystemStore


@hookimpl
def register_storage_backends() -> Mapping[str, StoreFactory]:
    """The ``filesystem`` backend. Options: ``path``."""
    return {"filesystem": FilesystemStore.open}
