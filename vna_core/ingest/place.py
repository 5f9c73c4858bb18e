"""Room `place`: the canonical object becomes durable in the landing store.

Comes in: a reconciled instance. Guaranteed afterwards: the object is flushed, file and directory, under a key that carries its
digest; a duplicate is passed on untouched. A process that dies here may leave an object that the catalogue does not know: it
was not acknowledged, and a rebuild or the next arrival takes it up.
"""

from __future__ import annotations

from vna_core.archival_storage.checksum import Checksummed
from vna_core.archival_storage.keeping import keep
from vna_core.archival_storage.keys import instance_key
from vna_core.domain.instance import Location
from vna_core.ingest.stages import Placed, Reconciled
from vna_core.ports.storage import Store


def place(reconciled: Reconciled, landing: Store) -> Placed:
    """Store the canonical object.

    Raises
    ------
    OutOfResources
        The store is full.
    StoreUnavailable
        The store does not answer.
    """
    if reconciled.duplicate is not None:
        return Placed(reconciled)
    canonical = reconciled.canonical
    key = instance_key(canonical.study_instance_uid, canonical.series_instance_uid, canonical.sop_instance_uid)
    content = Checksummed(canonical.chunks)
    stored = keep(landing, key, content)
    return Placed(reconciled, Location(landing.name, stored.key, 0, stored.size), stored.sha256 or "", content.crc32c)
