"""Storage backend for everything else that fsspec knows (Google Cloud Storage, SFTP, SMB, memory), with the abilities it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vna_core.domain.errors import ConfigurationError
from vna_core.ports.hookspecs import StoreFactory, hookimpl
from vna_core.ports.storage import Store
from vna_core.ports.store_options import checked_options, needs_extra
from vna_storage_fsspec.options import FsspecOptions

EXTRAS = {"gs": "gcs", "gcs": "gcs"}
"""URL scheme to the extra of ours that brings its library."""


@hookimpl
def register_storage_backends() -> Mapping[str, StoreFactory]:
    """The ``fsspec`` backend. Options: see `FsspecOptions`."""
    return {"fsspec": open_store}


def open_store(name: str, options: Mapping[str, Any]) -> Store:
    """Open a URL. Raises ConfigurationError, StoreRefused, StoreUnavailable."""
    checked = checked_options(FsspecOptions, name, "fsspec", options)
    scheme = checked.url.split("://", 1)[0]
    from vna_storage_fsspec.store import FsspecStore

    try:
        return FsspecStore(name, checked)
    except ImportError as error:
        if scheme in EXTRAS:
            raise needs_extra(name, "fsspec", EXTRAS[scheme], error) from error
        message = f"Store {name!r} of type fsspec: {scheme}:// needs a library that is not installed. {error}"
        raise ConfigurationError(message, store=name) from error
