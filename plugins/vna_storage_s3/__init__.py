"""S3 storage backend: a bucket of Amazon S3 or of anything that speaks its protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vna_core.ports.hookspecs import StoreFactory, hookimpl
from vna_core.ports.storage import Store
from vna_core.ports.store_options import checked_options, needs_extra
from vna_storage_s3.options import S3Options


@hookimpl
def register_storage_backends() -> Mapping[str, StoreFactory]:
    """The ``s3`` backend. Options: see `S3Options`."""
    return {"s3": open_store}


def open_store(name: str, options: Mapping[str, Any]) -> Store:
    """Open a bucket. Raises ConfigurationError, StoreRefused, StoreUnavailable."""
    checked = checked_options(S3Options, name, "s3", options)
    try:
        from vna_storage_s3.store import S3Store  # the libraries take half a second to import: only who uses them waits
    except ImportError as error:
        raise needs_extra(name, "s3", "s3", error) from error
    return S3Store(name, checked)
