"""The Zarr description beside each pack, in every store: what it must be stands in the pack itself."""

from __future__ import annotations

import hashlib

from vna_core.archival_storage.keeping import is_there, keep
from vna_core.archival_storage.keys import array_key, is_pack
from vna_core.archival_storage.packs import read_pack
from vna_core.domain.errors import DigestMismatch, Malformed, ObjectArchived, ObjectMissing
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Store


def description_of(store: Store, pack: str) -> bytes | None:
    """What a pack says must lie beside it; None where its frames are no array.

    Raises
    ------
    DigestMismatch, Malformed
        The pack is damaged where it says so.
    ObjectMissing, ObjectArchived, StoreUnavailable
        As `Store.read`.
    """
    return read_pack(lambda offset, length: store.read(pack, ByteRange(offset, length)), store.stat(pack).size).array


def stand_beside(store: Store, pack: str, description: bytes | None) -> None:
    """Put the description of a pack beside it, where a reader of Zarr looks; what lies there already is replaced when it is another."""
    if description is not None:
        keep(store, array_key(pack), lambda: (description,), hashlib.sha256(description).hexdigest())


def described_pack(store: Store, key: str) -> str:
    """Key of the pack that lies beside a description in a store; empty where none does."""
    return next((one.key for one in store.list(key.removesuffix("zarr.json") + "c") if is_pack(one.key)), "")


def is_lacking(store: Store, pack: str) -> bool:
    """Whether a pack that can be read has no description where there should be one."""
    return not is_there(store, array_key(pack)) and _told(store, pack) is not None


def is_another(store: Store, key: str, content: bytes) -> bool:
    """Whether the content of a description is not what the pack beside it says. What no readable pack describes is left in peace."""
    pack = described_pack(store, key)
    wanted = _told(store, pack) if pack else None
    return wanted is not None and wanted != content


def _told(store: Store, pack: str) -> bytes | None:
    """See `description_of`; what is wrong with the pack itself is the pack's own finding."""
    try:
        return description_of(store, pack)
    except (DigestMismatch, Malformed, ObjectMissing, ObjectArchived):
        return None
