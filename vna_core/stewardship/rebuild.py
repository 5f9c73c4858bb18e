"""The catalogue from the stores alone (promise 5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from vna_core.archival_storage.keys import DELIVERIES, QUARANTINE, STUDIES, digest_of_key
from vna_core.catalogue import Catalogue, QuarantineEntry
from vna_core.domain.errors import DigestMismatch, NotFound, ObjectMissing, Unarchivable
from vna_core.domain.octets import Source
from vna_core.domain.renormalization import Renormalization
from vna_core.domain.stewardship import HIDDEN, PURGED, DeletedObject
from vna_core.ports.storage import Store, StoredObject
from vna_core.stewardship.notes import read_notes
from vna_core.stewardship.stored_entry import undone_runs
from vna_core.stewardship.taking_up import Taken, TakingUp, deliver_again

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

    Every object is read and compared with the digest in its key. Holds and deletions come first, from their notes.

    Raises
    ------
    StoreUnavailable, CatalogueUnavailable
        A part does not answer.
    """
    report = RebuildReport()
    _take_up_notes(stores, catalogue, report)
    taking_up, seen = TakingUp(stores, catalogue), set[tuple[str, str]]()
    made_again: list[tuple[Renormalization, Store, StoredObject]] = []
    for store in stores.values():
        for stored in store.list(STUDIES):
            if stored.key.endswith(".dcm"):
                report.objects += 1
                made = _take_up(store, stored, catalogue, taking_up, report, seen)
                if made is not None:
                    made_again.append((made, store, stored))
                progress()
        for stored in store.list(QUARANTINE):
            if stored.key.endswith(".bin"):
                report.objects += 1
                _list_again(store, stored, catalogue, report)
                progress()
    _settle_purges(catalogue, seen)
    undone = undone_runs(stores)
    for _, store, stored in sorted(made_again, key=lambda one: (one[0].at, one[0].generation, one[2].key)):
        _count(taking_up.again(store, stored, undone), report)
    for store in stores.values():
        try:
            deliver_again(store, catalogue)
        except (ValueError, KeyError, TypeError) as error:
            _log.error("delivery-note-damaged", store=store.name, error=type(error).__name__)
            report.damaged.append(f"{store.name}:{DELIVERIES}")
    return report


def _take_up_notes(stores: Mapping[str, Store], catalogue: Catalogue, report: RebuildReport) -> None:
    notes = read_notes(stores)
    report.damaged += notes.damaged
    for hold in notes.holds.values():
        catalogue.holds.take_up(hold)
    for deletion, versions, objects in notes.deletions.values():
        catalogue.deletions.take_up(deletion, versions, objects)


def _settle_purges(catalogue: Catalogue, seen: set[tuple[str, str]]) -> None:
    """Of a purge nobody knows how far it came: what is not in the stores is gone, and what is there is to be purged again."""
    after = ""
    while page := catalogue.deletions.listed(PURGED, after=after):
        for deletion in page:
            for where in catalogue.deletions.objects(deletion.id):
                if (where.store, where.key) not in seen:
                    catalogue.deletions.gone(where)
        after = page[-1].id


def _take_up(
    store: Store,
    stored: StoredObject,
    catalogue: Catalogue,
    taking_up: TakingUp,
    report: RebuildReport,
    seen: set[tuple[str, str]],
) -> Renormalization | None:
    """Record one object, or answer how it was made again: those come last."""
    deletion = catalogue.deletions.of_key(stored.key)
    if deletion is not None:
        report.deleted += 1
        if deletion.state != HIDDEN:
            seen.add((store.name, stored.key))
            catalogue.deletions.left_over(deletion.id, DeletedObject(store.name, stored.key, 0, stored.size))
        return None
    try:
        result = taking_up.first(store, stored)
    except (DigestMismatch, Unarchivable) as error:
        _log.error("stored-object-damaged", store=store.name, key=stored.key, code=error.code)
        report.damaged.append(f"{store.name}:{stored.key}")
        return None
    if isinstance(result, Renormalization):
        return result
    _count(result, report)
    return None


def _count(taken: Taken, report: RebuildReport) -> None:
    if taken is Taken.RECORDED:
        report.recorded += 1
    else:
        report.known += 1


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
