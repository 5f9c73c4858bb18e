"""PACS adapter for media and folders: DICOMDIR, directory trees, ZIP and TAR files, storage folders of other archives, Inventories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vna_core.ports.hookspecs import PacsFactory, hookimpl
from vna_core.ports.pacs import PacsAdapter


@hookimpl
def register_pacs_adapters() -> Mapping[str, PacsFactory]:
    """A path, or ``file:///PATH``. Options: see `MediaOptions`."""
    return {"file": open_source}


def open_source(name: str, url: str, options: Mapping[str, Any]) -> PacsAdapter:
    """Open a source. Raises ConfigurationError."""
    from vna_pacs_media.adapter import MediaAdapter  # here: only who opens such a source waits for it

    return MediaAdapter.open(name, url, options)
