"""What can be configured about a URL of fsspec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from vna_core.ports.store_options import StoreOptions


class FsspecOptions(StoreOptions):
    """Options of a store of type ``fsspec``."""

    url: str = Field(pattern="^[a-z0-9+]+://", description="Where objects go: `gs://bucket/folder`, `sftp://host/folder`.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Parameters of the fsspec implementation.")
    spool: Path | None = Field(None, description="Folder where content waits until all of it is there.")
