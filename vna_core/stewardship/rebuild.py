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
from vna_core.archival_storage.keys import DELIVERIES, PACKS, QUARANTINE, STUDIES, digest_of_key, digest_of_pack
from vna_core.archival_storage.packs import PackMember
from vna_core.catalogue import Catalogue, QuarantineEntry, Replacement
from vna_core.domain.errors import DigestMismatch, NotFound, ObjectMissing, Unarchivable
from vna_core.domain.identifiers import identifier_of_segment
from vna_core.domain.instance import HeldInstance, IndexEntry
from vna_core.domain.octets import ByteRange, Source
from vna_core.domain.outcome import Outcome
from vna_core.domain.packs import PackedObject
from vna_core.domain.renormalization import Renormalization
from vna_core.ports.storage import Store, StoredObject
from vna_core.stewardship.found_packs import packs_of
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


@dataclass(frozen=True, slots=True)
class _Found:
    """One canonical object that a store holds, loose or in a pack."""

    store: Store
    key: str
    size: int
    offset: int = 0
    sha256: str = ""

    @property
    def name(self) -> str:
        """How a report names it."""
        return f"{self.store.name}:{self.key}" + (f"@{self.offset}" if self.sha256 else "")

    def entry(self) -> IndexEntry:
        """What is recorded about it, proven. Raises what `proven_entry` does."""
        return proven_entry(self.store, self.key, self.size, self.offset, self.sha256)


def rebuild(stores: Mapping[str, Store], catalogue: Catalogue, progress: Callable[[], object] = lambda: None) -> RebuildReport:
    """Record everything the stores hold. What the catalogue knows already stays, so an interrupted rebuild is run again.

    Every object is read and compared with its digest.

    Raises
    ------
    StoreUnavailable, CatalogueUnavailable
        A part does not answer.
    """
    report = RebuildReport()
    work = _Rebuilding(stores, catalogue, report)
    for store in stores.values():
        for pack in packs_of(store, report.damaged, work.distrusted):
            for member in pack.contents.members:
                work.take_up(_Found(store, pack.key, member.range.length, member.range.offset, member.sha256))
                progress()
    for store in stores.values():
        for stored in store.list(STUDIES):
            if stored.key.endswith(".dcm"):
                work.take_up(_Found(store, stored.key, stored.size))
                progress()
        for stored in store.list(QUARANTINE):
            if stored.key.endswith(".bin"):
                report.objects += 1
                _list_again(store, stored, catalogue, report)
                progress()
    work.take_up_again()
    work.list_packs()
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


class _Rebuilding:
    """One pass over the stores."""

    def __init__(self, stores: Mapping[str, Store], catalogue: Catalogue, report: RebuildReport) -> None:
        self._stores = stores
        self._catalogue = catalogue
        self._report = report
        self._copies = CopyReader(
            stores, lambda held, location: catalogue.set_location_state(held.pk, location, "bad"), catalogue.moved
        )
        self._again: list[tuple[Renormalization, _Found]] = []
        self.distrusted: set[str] = set()

    def take_up(self, found: _Found) -> None:
        """Record one object; those made again of octets that an earlier object holds as well come last."""
        report, catalogue = self._report, self._catalogue
        report.objects += 1
        try:
            entry = found.entry()
        except (DigestMismatch, Unarchivable) as error:
            _log.error("stored-object-damaged", store=found.store.name, key=found.key, offset=found.offset, code=error.code)
            report.damaged.append(found.name)
            self.distrusted.add(digest_of_pack(found.key))
            return
        versions = catalogue.versions(entry.sop_instance_uid)
        if catalogue.generations.knows(found.key, found.offset) or any(_is_at(held, found) for held in versions):
            report.known += 1
        elif entry.renormalization is not None:
            self._again.append((entry.renormalization, found))
        else:
            self._record(entry, found, versions)

    def _record(self, entry: IndexEntry, found: _Found, versions: tuple[HeldInstance, ...]) -> None:
        new = _compared(entry, lambda wanted: found.store.chunks(found.key, _inside(found, wanted)))
        classification = {held.pk: classify(_held(held, self._copies), new) for held in versions}
        recorded = self._catalogue.record(entry, classification)
        if recorded.outcome is not Outcome.DUPLICATE or _is_at(recorded.held, found):
            self._report.recorded += 1
            return
        self._report.known += 1
        self._leave_if_packed(recorded.held, entry, found)

    def _leave_if_packed(self, held: HeldInstance, entry: IndexEntry, found: _Found) -> None:
        """A loose object that lies in a pack of the same store as well was not removed yet: it is removed later."""
        packed = [one for one in held.locations if one.store == found.store.name and one.key.startswith(PACKS)]
        if packed and held.sha256 == entry.sha256 and not found.sha256:
            self._catalogue.packs.leave(found.store.name, [(found.key, held.pk)], 0.0)

    def take_up_again(self) -> None:
        """Record objects that were made again: they stand for the version of the same octets, unless their run was undone."""
        undone = undone_runs(self._stores)
        for _, found in sorted(self._again, key=lambda one: (one[0].at, one[0].generation, one[1].key)):
            self._take_up_again(found, undone)

    def _take_up_again(self, found: _Found, undone: frozenset[str]) -> None:
        catalogue, report = self._catalogue, self._report
        if catalogue.generations.knows(found.key, found.offset):  # its copy in another store was taken up
            report.known += 1
            return
        entry = found.entry()
        made = entry.renormalization
        assert made is not None
        versions = [*catalogue.versions(made.replaced), *catalogue.versions(entry.sop_instance_uid)]
        version = next((held for held in versions if held.original_sha256 == entry.original_sha256), None)
        if version is not None and any(one.sha256 == entry.sha256 for one in catalogue.generations.of_version(version.pk)):
            report.known += 1  # it lies loose and in a pack, or in two packs
            self._leave_if_packed(version, entry, found)
            return
        report.recorded += 1
        if version is None:  # the object it was made from is gone; this one holds the octets as well
            catalogue.record(entry)
        elif made.run in undone:
            catalogue.generations.list_only(version.pk, entry)
        else:
            catalogue.generations.replace([Replacement(version.pk, entry)])

    def list_packs(self) -> None:
        """List packs that something points at now, in each store that has them."""
        catalogue = self._catalogue
        for store in self._stores.values():
            for pack in packs_of(store, [], self.distrusted):
                if catalogue.packs.listed(key=pack.key):
                    catalogue.packs.record_copy(pack.key, store.name)
                    continue
                members = [_member(catalogue, pack.key, one) for one in pack.contents.members]
                if any(one.instance for one in members):
                    catalogue.packs.list_found(pack.listed(members), store.name)


def _member(catalogue: Catalogue, key: str, member: PackMember) -> PackedObject:
    uid = identifier_of_segment(member.name.rsplit(".", 2)[0])
    instance = catalogue.packs.instance_at(key, member.range.offset, uid)
    return PackedObject(instance, member.sha256, member.range.offset, member.range.length)


def _inside(found: _Found, wanted: ByteRange) -> ByteRange:
    return ByteRange(found.offset + wanted.offset, wanted.length)


def _is_at(held: HeldInstance, found: _Found) -> bool:
    return any(one.key == found.key and one.offset == found.offset for one in held.locations)


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
