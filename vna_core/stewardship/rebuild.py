"""The catalogue from the stores alone (promise 5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from vna_core.archival_storage.keys import DELIVERIES, PACKS, QUARANTINE, STUDIES, digest_of_key, digest_of_pack
from vna_core.archival_storage.packs import PackMember, members_before_damage
from vna_core.catalogue import Catalogue, QuarantineEntry
from vna_core.domain.errors import DigestMismatch, NotFound, ObjectMissing, Unarchivable
from vna_core.domain.identifiers import identifier_of_segment
from vna_core.domain.octets import Source
from vna_core.domain.packs import PackedObject
from vna_core.domain.renormalization import Renormalization
from vna_core.domain.stewardship import HIDDEN, PURGED, PURGING, DeletedObject
from vna_core.ports.storage import Store, StoredObject
from vna_core.stewardship.awaited_again import await_again
from vna_core.stewardship.found_packs import FoundPack, packs_of, replaced_packs
from vna_core.stewardship.notes import read_notes
from vna_core.stewardship.stored_entry import undone_runs
from vna_core.stewardship.taking_up import FoundObject, Taken, TakingUp, deliver_again

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class RebuildReport:
    """What a rebuild found.

    `damaged` names objects that are not what their key says; they were left as they are. `deleted` counts objects that belong
    to deletions: they stay hidden.
    """

    objects: int = 0
    recorded: int = 0
    known: int = 0
    quarantined: int = 0
    deleted: int = 0
    damaged: list[str] = field(default_factory=list)


def rebuild(stores: Mapping[str, Store], catalogue: Catalogue, progress: Callable[[], object] = lambda: None) -> RebuildReport:
    """Record everything the stores hold. What the catalogue knows already stays, so an interrupted rebuild is run again.

    Every object is read and compared with its digest. Holds and deletions come first, from their notes.

    Raises
    ------
    StoreUnavailable, CatalogueUnavailable
        A part does not answer.
    """
    report = RebuildReport()
    work = _Rebuilding(stores, catalogue, report)
    work.take_up_notes()
    for store in stores.values():
        for pack in packs_of(store, report.damaged, work.distrusted):
            for member in pack.contents.members:
                work.take_up(FoundObject(store, pack.key, member.range.length, member.range.offset, member.sha256))
                progress()
    for store in stores.values():
        for stored in store.list(STUDIES):
            if stored.key.endswith(".dcm"):
                work.take_up(FoundObject(store, stored.key, stored.size))
                progress()
        for stored in store.list(QUARANTINE):
            if stored.key.endswith(".bin"):
                report.objects += 1
                _list_again(store, stored, catalogue, report)
                progress()
    work.settle_purges()
    work.salvage(progress)
    work.take_up_again()
    work.list_packs()
    report.damaged += [f"rejection note {uid}" for uid in await_again(stores, catalogue)]
    for store in stores.values():
        try:
            deliver_again(store, catalogue)
        except (ValueError, KeyError, TypeError) as error:
            _log.error("delivery-note-damaged", store=store.name, error=type(error).__name__)
            report.damaged.append(f"{store.name}:{DELIVERIES}")
    return report


class _Rebuilding:
    """One pass over the stores."""

    def __init__(self, stores: Mapping[str, Store], catalogue: Catalogue, report: RebuildReport) -> None:
        self._stores = stores
        self._catalogue = catalogue
        self._report = report
        self._taking_up = TakingUp(stores, catalogue)
        self._again: list[tuple[Renormalization, FoundObject]] = []
        self._left_over: set[tuple[str, str]] = set()
        self.distrusted: set[str] = set()

    def take_up_notes(self) -> None:
        """Record holds and deletions."""
        notes = read_notes(self._stores)
        self._report.damaged += notes.damaged
        for hold in notes.holds.values():
            self._catalogue.holds.take_up(hold)
        for deletion, versions, objects in notes.deletions.values():
            self._catalogue.deletions.take_up(deletion, versions, objects)

    def take_up(self, found: FoundObject) -> None:
        """Record one object; those made again of octets that an earlier object holds as well come last."""
        self._report.objects += 1
        if self._is_deleted(found):
            self._report.deleted += 1
            return
        try:
            result = self._taking_up.first(found)
        except (DigestMismatch, Unarchivable) as error:
            _log.error("stored-object-damaged", store=found.store.name, key=found.key, offset=found.offset, code=error.code)
            self._report.damaged.append(found.name)
            self.distrusted.add(digest_of_pack(found.key))
            return
        if isinstance(result, Renormalization):
            self._again.append((result, found))
        else:
            self._count(result)

    def _is_deleted(self, found: FoundObject) -> bool:
        deletion = self._catalogue.deletions.of_key(found.key, found.offset)
        if deletion is None:
            return False
        if deletion.state != HIDDEN:
            self._left_over.add((found.store.name, found.key))
            where = DeletedObject(found.store.name, found.key, found.offset, found.size)
            self._catalogue.deletions.left_over(deletion.id, where)
        return True

    def _count(self, taken: Taken) -> None:
        if taken is Taken.RECORDED:
            self._report.recorded += 1
        elif taken is Taken.DELETED:
            self._report.deleted += 1
        else:
            self._report.known += 1

    def settle_purges(self) -> None:
        """Of a purge nobody knows how far it came: what is not in the stores is gone, what is there is to be purged again."""
        after = ""
        while page := self._catalogue.deletions.listed(PURGING, PURGED, after=after):
            for deletion in page:
                for where in self._catalogue.deletions.objects(deletion.id):
                    if where.store in self._stores and (where.store, where.key) not in self._left_over:
                        self._catalogue.deletions.gone(where)
            after = page[-1].id

    def salvage(self, progress: Callable[[], object]) -> None:
        """Record what is whole in packs that do not tell any more what they hold, where nothing else has it."""
        named = set(self._report.damaged)
        for store in self._stores.values():
            for stored in store.list(PACKS):
                if f"{store.name}:{stored.key}" not in named or not digest_of_pack(stored.key):
                    continue
                for member in members_before_damage(store, stored.key, stored.size):
                    uid = identifier_of_segment(member.name.rsplit(".", 2)[0])
                    if all(held.sha256 != member.sha256 for held in self._catalogue.versions(uid)):
                        self.take_up(FoundObject(store, stored.key, member.range.length, member.range.offset, member.sha256))
                        progress()

    def take_up_again(self) -> None:
        """Record objects that were made again: they stand for the version of the same octets, unless their run was undone."""
        undone = undone_runs(self._stores)
        for _, found in sorted(self._again, key=lambda one: (one[0].at, one[0].generation, one[1].key)):
            self._count(self._taking_up.again(found, undone))

    def list_packs(self) -> None:
        """List packs that something points at now, in each store that has them, and those in which deleted objects lie that may be
        taken back; what was taken over comes first, as it was older.

        One that was taken over in its own store is removed, unless something deleted lies in it that may be taken back.
        """
        replaced = {name: replaced_packs(store) for name, store in self._stores.items()}
        taken_over = frozenset[str]().union(*replaced.values())
        for older in (True, False):
            for store in self._stores.values():
                for pack in packs_of(store, [], self.distrusted):
                    if (digest_of_pack(pack.key) in taken_over) is older:
                        self._list(pack)
        for name, store in self._stores.items():
            left = [one.key for one in store.list(PACKS) if digest_of_pack(one.key) in replaced[name]]
            self._catalogue.packs.leave(name, [(key, 0) for key in left if not self._catalogue.packs.has_copy(name, key)], 0.0)

    def _list(self, pack: FoundPack) -> None:
        packs = self._catalogue.packs
        if packs.listed(key=pack.key):
            packs.record_copy(pack.key, pack.store.name)
            return
        members = [_member(self._catalogue, pack.key, one) for one in pack.contents.members]
        if any(one.instance or self._is_hidden(pack.key, one.offset) for one in members):
            packs.list_found(pack.listed(members), pack.store.name)

    def _is_hidden(self, key: str, offset: int) -> bool:
        deletion = self._catalogue.deletions.of_key(key, offset)
        return deletion is not None and deletion.state == HIDDEN


def _member(catalogue: Catalogue, key: str, member: PackMember) -> PackedObject:
    uid = identifier_of_segment(member.name.rsplit(".", 2)[0])
    instance = catalogue.packs.instance_at(key, member.range.offset, uid)
    return PackedObject(instance, member.sha256, member.range.offset, member.range.length)


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
    try:
        listed = catalogue.quarantine_entry(found.id)
    except NotFound:
        catalogue.record_quarantine(found)
        return
    if listed.store != store.name:
        catalogue.quarantine_copied(found.id, store.name)
