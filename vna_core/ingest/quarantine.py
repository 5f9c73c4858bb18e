"""Where octets go that cannot be archived as DICOM: kept bit-exact, listed, explained, retried."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from vna_core.archival_storage.keeping import keep, verified
from vna_core.archival_storage.keys import quarantine_keys
from vna_core.catalogue import Catalogue, QuarantineEntry
from vna_core.configuration import IngestSettings
from vna_core.domain.errors import LimitExceeded, NotFound, ObjectExists, VnaError
from vna_core.domain.octets import ReceivedInstance
from vna_core.ports.storage import Store


class Quarantine:
    """Keeps what was refused a place among the studies. The same octets are kept once, however often they come."""

    def __init__(self, landing: Store, catalogue: Catalogue, settings: IngestSettings) -> None:
        self._landing = landing
        self._catalogue = catalogue
        self._limit = settings.quarantine_limit

    def keep(self, received: ReceivedInstance, reason: VnaError) -> str:
        """Store the octets and a note beside them, then list them; the quarantine id.

        A process that dies between the two leaves octets that a rebuild lists.

        Raises
        ------
        LimitExceeded
            The quarantine is full (``ingest.quarantine_limit``); the octets were not kept.
        """
        octets = received.octets
        quarantine_id = octets.sha256[:16]
        _, held = self._catalogue.quarantine_size()
        if held + octets.size > self._limit and not self._is_known(quarantine_id):
            raise LimitExceeded(
                "The quarantine is full (ingest.quarantine_limit): look at `vna quarantine list`.",
                limit="ingest.quarantine_limit",
                maximum=self._limit,
            ) from reason
        entry = QuarantineEntry(
            id=quarantine_id,
            sha256=octets.sha256,
            size=octets.size,
            store=self._landing.name,
            key=quarantine_keys(quarantine_id, octets.sha256)[0],
            code=reason.code,
            message=reason.message,
            source=received.source,
            received_at=received.received_at,
            transfer_syntax_uid=received.transfer_syntax_uid,
            sop_class_uid=received.sop_class_uid,
            sop_instance_uid=received.sop_instance_uid,
        )
        key, note_key = quarantine_keys(quarantine_id, octets.sha256)
        keep(self._landing, key, octets.chunks, octets.sha256)
        with contextlib.suppress(ObjectExists):  # the note of an earlier arrival of the same octets stays
            self._landing.create(note_key, [_note(entry)])
        return self._catalogue.record_quarantine(entry)

    def octets(self, quarantine_id: str) -> Iterator[bytes]:
        """The octets as received, in pieces of at most 1 MiB, the last one only when all are right.

        Raises NotFound, ObjectMissing, DigestMismatch.
        """
        entry = self._catalogue.quarantine_entry(quarantine_id)
        return verified(self._landing.chunks(entry.key), entry.sha256)

    def entry(self, quarantine_id: str) -> QuarantineEntry:
        """What is known about an item. Raises NotFound."""
        return self._catalogue.quarantine_entry(quarantine_id)

    def resolve(self, quarantine_id: str, outcome: str) -> None:
        """Note that an item found its end elsewhere (a retry that was held); its octets stay."""
        self._catalogue.resolve_quarantine(quarantine_id, outcome)

    def _is_known(self, quarantine_id: str) -> bool:
        try:
            self._catalogue.quarantine_entry(quarantine_id)
        except NotFound:
            return False
        return True


def _note(entry: QuarantineEntry) -> bytes:
    """The note beside the octets, from which a rebuild makes the list again."""
    document = {
        "id": entry.id,
        "sha256": entry.sha256,
        "size": entry.size,
        "code": entry.code,
        "message": entry.message,
        "source": [entry.source.kind, entry.source.name, entry.source.address, entry.source.issuer],
        "received_at": entry.received_at.isoformat(),
        "hints": [entry.transfer_syntax_uid, entry.sop_class_uid, entry.sop_instance_uid],
    }
    return json.dumps(document, ensure_ascii=True, indent=1).encode("ascii")
