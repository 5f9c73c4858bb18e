"""Room `place`: the canonical object becomes durable in the landing store.

Comes in: reconciled instances that share their flushes. Guaranteed afterwards: each object is flushed, file and directory, under a key that carries its
digest; a duplicate is passed on untouched. A process that dies here may leave an object that the catalogue does not know: it
was not acknowledged, and a rebuild or the next arrival takes it up.
"""

from __future__ import annotations

from collections.abc import Sequence

from vna_core.archival_storage.checksum import Checksummed
from vna_core.archival_storage.keeping import keep_all
from vna_core.archival_storage.keys import instance_key
from vna_core.domain.errors import VnaError
from vna_core.domain.instance import CanonicalInstance, Location
from vna_core.ingest.stages import Placed, Reconciled
from vna_core.ports.storage import Key, Store, StoredObject


def place(reconciled: Sequence[Reconciled], landing: Store) -> list[Placed | VnaError]:
    """Store canonical objects; in place of each that could not be stored its error.

    OutOfResources: the store is full. StoreUnavailable: it does not answer.
    """
    new = [(_key(one.canonical), Checksummed(one.canonical.chunks)) for one in reconciled if one.duplicate is None]
    stored = iter(zip(keep_all(landing, new), new, strict=True))
    return [Placed(one) if one.duplicate is not None else _placed(one, *next(stored), landing.name) for one in reconciled]


def _key(canonical: CanonicalInstance) -> Key:
    return instance_key(canonical.study_instance_uid, canonical.series_instance_uid, canonical.sop_instance_uid)


def _placed(
    reconciled: Reconciled, stored: StoredObject | VnaError, new: tuple[Key, Checksummed], store: str
) -> Placed | VnaError:
    if isinstance(stored, VnaError):
        return stored
    return Placed(reconciled, Location(store, stored.key, 0, stored.size), stored.sha256 or "", new[1].crc32c)
