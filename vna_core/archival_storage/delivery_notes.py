"""Notes in a store that a second department delivered octets which are held already.

Nothing is stored twice, so the object's own provenance names its first source alone; without these notes a rebuilt catalogue
would not know that the second one may see it too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from vna_core.archival_storage.keeping import keep
from vna_core.archival_storage.keys import DELIVERIES, delivery_key
from vna_core.domain.octets import Source
from vna_core.ports.storage import Store


@dataclass(frozen=True, slots=True)
class Delivery:
    """Whose octets were delivered again, and by whom."""

    sop_instance_uid: str
    original_sha256: str
    source: Source


def keep_delivery(store: Store, delivery: Delivery) -> None:
    """Write a note durably. May be called twice. Raises StoreUnavailable, OutOfResources."""
    source = delivery.source
    document = {
        "sop_instance_uid": delivery.sop_instance_uid,
        "original_sha256": delivery.original_sha256,
        "source": [source.kind, source.name, source.address, source.issuer],
    }
    content = json.dumps(document, sort_keys=True).encode("ascii")
    digest = hashlib.sha256(content).hexdigest()
    keep(store, delivery_key(delivery.original_sha256, digest), lambda: [content])


def deliveries(store: Store) -> Iterator[Delivery]:
    """Every note of a store. Raises StoreUnavailable, and ValueError, KeyError or TypeError for what is no note."""
    for stored in store.list(DELIVERIES):
        said = json.loads(store.read(stored.key))
        yield Delivery(said["sop_instance_uid"], said["original_sha256"], Source(*said["source"]))
