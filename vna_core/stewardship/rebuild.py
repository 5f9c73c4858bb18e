"""The catalogue from the stores alone (promise 5)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from vna_core.archival_storage.comparison import ComparedObject, classify
from vna_core.archival_storage.copies import CopyReader
from vna_core.archival_storage.keys import QUARANTINE, STUDIES, digest_of_key
from vna_core.catalogue import Catalogue, QuarantineEntry
from vna_core.dicom.trailer import IndexEntryFields, index_entry_fields
from vna_core.domain.errors import DigestMismatch, NotFound, ObjectMissing, Unarchivable
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance, IndexEntry, Location
from vna_core.domain.octets import ByteRange, Source
from vna_core.domain.outcome import Outcome
from vna_core.ports.storage import Store, StoredObject

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
    for store in stores.values():
        for stored in store.list(STUDIES):
            if stored.key.endswith(".dcm"):
                report.objects += 1
                _take_up(store, stored, catalogue, copies, report)
                progress()
        for stored in store.list(QUARANTINE):
            if stored.key.endswith(".bin"):
                report.objects += 1
                _list_again(store, stored, catalogue, report)
                progress()
    return report


def _take_up(store: Store, stored: StoredObject, catalogue: Catalogue, copies: CopyReader, report: RebuildReport) -> None:
    try:
        entry = _entry(store, stored)
    except (DigestMismatch, Unarchivable) as error:
        _log.error("stored-object-damaged", store=store.name, key=stored.key, code=error.code)
        report.damaged.append(f"{store.name}:{stored.key}")
        return
    versions = catalogue.versions(entry.sop_instance_uid)
    if any(location.key == stored.key for held in versions for location in held.locations):
        report.known += 1
        return
    new = _compared(entry, lambda wanted: store.chunks(stored.key, wanted))
    classification = {held.pk: classify(_held(held, copies), new) for held in versions}
    recorded = catalogue.record(entry, classification)
    if recorded.outcome is Outcome.DUPLICATE and all(location.key != stored.key for location in recorded.held.locations):
        report.known += 1
    else:
        report.recorded += 1


def _entry(store: Store, stored: StoredObject) -> IndexEntry:
    expected = digest_of_key(stored.key)
    digest = hashlib.sha256()
    for piece in store.chunks(stored.key):
        digest.update(piece)
    if digest.hexdigest() != expected:
        raise DigestMismatch("The object is not what its key says.", store=store.name, key=stored.key)
    fields: IndexEntryFields = index_entry_fields(
        lambda offset, length: store.read(stored.key, ByteRange(offset, length)), stored.size
    )
    issuer = fields.attributes.get(0x00100021, ("",))[0] or fields.source.issuer
    names = IndexEntryFields.__dataclass_fields__
    return IndexEntry(
        patient=PatientKey(issuer, fields.attributes.get(0x00100020, ("",))[0]),
        location=Location(store.name, stored.key, 0, stored.size),
        sha256=expected,
        **{name: getattr(fields, name) for name in names},
    )


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
