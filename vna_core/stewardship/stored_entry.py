"""What the stores tell about single objects, and about runs that were undone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from vna_core.archival_storage.checksum import Checksummed
from vna_core.archival_storage.keys import UNDONE_RUNS, digest_of_key
from vna_core.dicom.trailer import IndexEntryFields, index_entry_fields
from vna_core.domain.errors import DigestMismatch
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import IndexEntry, Location
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Store


def stored_entry(store: Store, key: str, size: int, offset: int = 0, sha256: str = "") -> IndexEntry:
    """The index entry of a stored object, read back with a few range reads; its digest is the one its key carries.

    Parameters
    ----------
    offset, sha256
        Where the object is in a pack, whose key carries another digest, and its own.

    Raises
    ------
    Malformed, Truncated, DigestMismatch
        The object is not one of ours, or it is damaged.
    ObjectMissing, StoreUnavailable
        It cannot be read.
    """
    fields: IndexEntryFields = index_entry_fields(lambda at, length: store.read(key, ByteRange(offset + at, length)), size)
    issuer = fields.attributes.get(0x00100021, ("",))[0] or fields.source.issuer
    names = IndexEntryFields.__dataclass_fields__
    return IndexEntry(
        patient=PatientKey(issuer, fields.attributes.get(0x00100020, ("",))[0]),
        location=Location(store.name, key, offset, size),
        sha256=sha256 or digest_of_key(key),
        **{name: getattr(fields, name) for name in names},
    )


def proven_entry(store: Store, key: str, size: int, offset: int = 0, sha256: str = "") -> IndexEntry:
    """The same after the whole object was read and found to be what its digest says, with its checksum.

    Raises what `stored_entry` does.
    """
    digest, content = hashlib.sha256(), Checksummed(lambda: store.chunks(key, ByteRange(offset, size)))
    for piece in content():
        digest.update(piece)
    if digest.hexdigest() != (sha256 or digest_of_key(key)):
        raise DigestMismatch("The object is not what its digest says.", store=store.name, key=key)
    return replace(stored_entry(store, key, size, offset, sha256), crc32c=content.crc32c)


def undone_runs(stores: Mapping[str, Store]) -> frozenset[str]:
    """Ids of the runs of re-normalization that were undone."""
    return frozenset(
        str(json.loads(store.read(stored.key))["run"]) for store in stores.values() for stored in store.list(UNDONE_RUNS)
    )
