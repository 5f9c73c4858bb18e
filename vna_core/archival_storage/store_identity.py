"""The identity of a store: a small JSON object in the store itself, by which it is known again.

It lies under `IDENTITY`, below every wrapper, so that it can be read with `cat` and before a key ring is opened.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from typing import Final

from vna_core.domain.errors import ObjectExists, ObjectMissing, StoreUnrecognized
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Store

IDENTITY: Final = "vna-store.json"
"""Key of the object."""
_VERSION: Final = 1
_LARGEST: Final = 4096
_DIGITS: Final = 32


def new_identity() -> str:
    """An identity that no other store has: 32 hexadecimal digits."""
    return secrets.token_hex(_DIGITS // 2)


def read_identity(store: Store) -> str:
    """The identity that lies in a store, by one small read; empty where none does.

    Raises
    ------
    StoreUnrecognized
        What lies there is no identity.
    ObjectArchived
        It lies in a tier from which it must be recalled.
    StoreUnavailable
        The store does not answer.
    """
    try:
        octets = store.read(IDENTITY, ByteRange(0, _LARGEST))
    except ObjectMissing:
        return ""
    identity = _said(octets)
    if identity:
        return identity
    raise StoreUnrecognized(
        f"{IDENTITY} in store {store.name!r} is damaged, or of a later version: put it back from a backup, or have it written "
        f"anew with `vna store replace {store.name}`.",
        store=store.name,
    )


def _said(octets: bytes) -> str:
    """The identity that is told; empty in what tells none, or is of a later version."""
    try:
        said = json.loads(octets)
        version, identity = said["version"], said["id"]
        is_one = version == _VERSION and len(identity) == _DIGITS and int(identity, 16) >= 0
    except (ValueError, KeyError, TypeError):
        return ""
    return str(identity) if is_one else ""


def write_identity(store: Store, identity: str) -> str:
    """Put an identity into a store that has none; the one that lies there then, which may be that of a faster process."""
    said = {
        "version": _VERSION,
        "id": identity,
        "name": store.name,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "about": "By this object the archive knows the store again. Do not delete it, and do not copy it to another store.",
    }
    try:
        store.create(IDENTITY, [json.dumps(said, indent=2).encode() + b"\n"])
    except ObjectExists:
        return read_identity(store)
    return identity
