"""The catalogue from the stores alone (promise 5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from vna_core.archival_storage.comparison import ComparedObject, classify
from vna_core.archival_storage.copies import CopyReader
from vna_core.archival_storage.delivery_notes import deliveries
from vna_core.archival_storage.keys import DELIVERIES, QUARANTINE, STUDIES, digest_of_key
from vna_core.catalogue import Catalogue, QuarantineEntry, Replacement
from vna_core.domain.errors import DigestMismatch, NotFound, ObjectMissing, Unarchivable
from vna_core.domain.instance import HeldInstance, IndexEntry
from vna_core.domain.octets import ByteRange, Source
from vna_core.domain.outcome import Outcome
from vna_core.domain.renormalization import Renormalization
from vna_core.ports.storage import Store, StoredObject
from vna_core.stewardship.stored_entry import proven_entry, undone_runs

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class RebuildReport:
    """What a rebuild found. `damaged` names objects that are not what their key says; they were left as they are."""

    objects: int = 0
    recorded: int = 0
    known: int = 0
    quarantined: int = 0
    damaged: list[str] = field(default_factory=list)


def rebuild(stores: Mapping[str, Store], catalogue: Catalogue, progress: Callable[[], object] = lambda: None) -> RebuildReport:
    """Record everything the stores hold. What the catalogue knows already stays, so an interrupted rebuild is run again.

    Every object is read and compared with the digest in its key.

    Raises
    ------
    StoreUnavailable, CatalogueUnavailable
        A part does not answer.
    """
    report = RebuildReport()
    copies = CopyReader(stores, lambda held, location: catalogue.set_location_state(held.pk, location, "bad"))
    made_again: list[tuple[Renormalization, Store, StoredObject]] = []
    for store in stores.values():
        for stored in store.list(STUDIES):
            if stored.key.endswith(".dcm"):
                report.objects += 1
                made = _take_up(store, stored, catalogue, copies, report)
                if made is not None:
                    made_again.append((made, store, stored))
                progress()
        for stored in store.list(QUARANTINE):
            if stored.key.endswith(".bin"):
                report.objects += 1
                _list_again(store, stored, catalogue, report)
                progress()
    undone = undone_runs(stores)
    for _, store, stored in sorted(made_again, key=lambda one: (one[0].at, one[0].generation, one[2].key)):
        _take_up_again(store, stored, catalogue, undone, report)
    for store in stores.values():
        _deliver_again(store, catalogue, report)
    return report


def _deliver_again(store: Store, catalogue: Catalogue, report: RebuildReport) -> None:
    """What second departments delivered of octets that are held."""
    try:
        for delivery in deliveries(store):
            for held in catalogue.versions(delivery.sop_instance_uid):
                if held.original_sha256 == delivery.original_sha256:
                    catalogue.labelling.deliver(held.pk, delivery.source)
    except (ValueError, KeyError, TypeError) as error:
        _log.error("delivery-note-damaged", store=store.name, error=type(error).__name__)
        report.damaged.append(f"{store.name}:{DELIVERIES}")


def _take_up(
    store: Store, stored: StoredObject, catalogue: Catalogue, copies: CopyReader, report: RebuildReport
) -> Renormalization | None:
    """Record one object, or answer how it was made again of octets that an earlier object holds as well: those come last."""
    try:
        entry = proven_entry(store, stored.key, stored.size)
    except (DigestMismatch, Unarchivable) as error:
        _log.error("stored-object-damaged", store=store.name, key=stored.key, code=error.code)
        report.damaged.append(f"{store.name}:{stored.key}")
        return None
    versions = catalogue.versions(entry.sop_instance_uid)
    known = any(location.key == stored.key for held in versions for location in held.locations)
    if known or catalogue.generations.knows(stored.key):
        report.known += 1
        return None
    if entry.renormalization is not None:
        return entry.renormalization
    _record(entry, store, stored, versions, catalogue, copies, report)
    return None


def _record(
    entry: IndexEntry,
    store: Store,
    stored: StoredObject,
    versions: tuple[HeldInstance, ...],
    catalogue: Catalogue,
    copies: CopyReader,
    report: RebuildReport,
) -> None:
    new = _compared(entry, lambda wanted: store.chunks(stored.key, wanted))
    classification = {held.pk: classify(_held(held, copies), new) for held in versions}
    recorded = catalogue.record(entry, classification)
    if recorded.outcome is Outcome.DUPLICATE and all(location.key != stored.key for location in recorded.held.locations):
        report.known += 1
    else:
        report.recorded += 1


def _take_up_again(
    store: Store, stored: StoredObject, catalogue: Catalogue, undone: frozenset[str], report: RebuildReport
) -> None:
    """Record an object that was made again: it stands for the version of the same octets, unless its run was undone."""
    if catalogue.generations.knows(stored.key):  # its copy in another store was taken up
        report.known += 1
        return
    entry = proven_entry(store, stored.key, stored.size)
    made = entry.renormalization
    assert made is not None
    report.recorded += 1
    versions = [*catalogue.versions(made.replaced), *catalogue.versions(entry.sop_instance_uid)]
    version = next((held for held in versions if held.original_sha256 == entry.original_sha256), None)
    if version is None:  # the object it was made from is gone; this one holds the octets as well
        catalogue.record(entry)
    elif made.run in undone:
        catalogue.generations.list_only(version.pk, entry)
    else:
        catalogue.generations.replace([Replacement(version.pk, entry)])


def _compared(entry: IndexEntry | HeldInstance, chunks: Callable[[ByteRange], Iterator[bytes | memoryview]]) -> ComparedObject:
    return ComparedObject(
        entry.patient,
        entry.study_instance_uid,
        entry.series_instance_uid,
        entry.transfer_syntax_uid,
        entry.data_set_offset,
        entry.trailer_offset,
        entry.pixel_data,
        chunks,
    )


def _held(held: HeldInstance, copies: CopyReader) -> ComparedObject:
    return _compared(held, lambda wanted: copies.chunks(held, wanted))


def _list_again(store: Store, octets: StoredObject, catalogue: Catalogue, report: RebuildReport) -> None:
    """List a quarantined item from the note beside its octets, or without one when the process died before it was written."""
    sha256 = digest_of_key(octets.key)
    found = QuarantineEntry(
        id=sha256[:16],
        sha256=sha256,
        size=octets.size,
        store=store.name,
        key=octets.key,
        code=Unarchivable.code,
        message="Why these octets were put here is not known: the note beside them is missing.",
        source=Source("", "", "", ""),
        received_at=octets.modified or datetime.fromtimestamp(0, UTC),
    )
    try:
        said = json.loads(store.read(octets.key.removesuffix(".bin") + ".json"))
        transfer_syntax, sop_class, sop_instance = said["hints"]
        found = replace(
            found,
            code=said["code"],
            message=said["message"],
            source=Source(*said["source"]),
            received_at=datetime.fromisoformat(said["received_at"]),
            transfer_syntax_uid=transfer_syntax,
            sop_class_uid=sop_class,
            sop_instance_uid=sop_instance,
        )
    except ObjectMissing:
        _log.warning("quarantine-note-missing", store=store.name, key=octets.key)
    except (DigestMismatch, ValueError, KeyError, TypeError) as error:
        _log.error("quarantine-note-damaged", store=store.name, key=octets.key, error=type(error).__name__)
        report.damaged.append(f"{store.name}:{octets.key}")
    report.quarantined += 1
    if not _is_listed(catalogue, found.id):
        catalogue.record_quarantine(found)


def _is_listed(catalogue: Catalogue, quarantine_id: str) -> bool:
    try:
        catalogue.quarantine_entry(quarantine_id)
    except NotFound:
        return False
    return True
