"""PACS adapter for media and folders: DICOMDIR, directory trees, ZIP and TAR files, storage folders of other archives, Inventories."""

from __future__ import annotations

from collections.abc import Mapping

from vna_core.ports.hookspecs import PacsFactory, hookimpl
from vna_pacs_media.adapter import MediaAdapter


@hookimpl
def register_pacs_adapters() -> Mapping[str, PacsFactory]:
    """A path, or ``file:///PATH``. Options: see `MediaOptions`."""
    return {"file": MediaAdapter.open}
