"""Deletion in two steps: hidden first, and taken back with one command; purged after a time of grace, if no hold is on it.

Every route that deletes ends here, and whether something may be deleted is decided in one place, in the transaction that does
it (`vna_core.catalogue.holds.refuse_held`). What was purged stays known: identifiers, digests, who, when and why.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from vna_core.archival_storage.copying import with_answer
from vna_core.archival_storage.keys import PACKS, STUDIES, pack_folder
from vna_core.catalogue import Catalogue
from vna_core.domain.access import Principal, PrincipalKind
from vna_core.domain.audit import AuditEvent, AuditEventId, Auditor, NoAudit, StudyObject
from vna_core.domain.corrections import CorrectionKind, Received, Rejection
from vna_core.domain.errors import (
    DigestMismatch,
    InvalidRequest,
    NotFound,
    ObjectMissing,
    RecallPending,
    StorageError,
    UnderHold,
)
from vna_core.domain.jobs import BACKGROUND
from vna_core.domain.octets import ByteRange
from vna_core.domain.renormalization import Renormalization
from vna_core.domain.stewardship import HIDDEN, PURGED, PURGING, UNDOING, DeletedObject, Deletion, Extent, Hold
from vna_core.ports.storage import Store
from vna_core.stewardship.deleted_members import DeletedMembers, Staying
from vna_core.stewardship.holding import delete_released
from vna_core.stewardship.notes import write_notes
from vna_core.stewardship.stored_entry import undone_runs
from vna_core.stewardship.taking_up import FoundObject, TakingUp, deliver_again

REASON_LENGTH: Final = 1000
PURGE: Final = "purge"
"""Kind of the job that goes on with a purge which could not remove everything; its key is the deletion."""
_DAYS: Final = 7
"""Days for which objects that are recalled to be taken back can be read."""
_RETRY_AFTER: Final = 300

_NO_AUDIT: Final = NoAudit()

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Left:
    """An object that a purge could not remove, and why; `silent` is the store where it is one that does not answer."""

    deletion: str
    store: str
    key: str
    why: str
    silent: str = ""


@dataclass(slots=True)
class PurgeReport:
    """What a purge did.

    Attributes
    ----------
    purged
        Deletions of which nothing is left.
    objects
        Objects that were removed.
    held
        Deletions that a hold keeps, and by which hold.
    left
        Objects that could not be removed: locked, in a pack with others, or in a store that does not answer. A job tries again.
    """

    purged: list[str] = field(default_factory=list)
    objects: int = 0
    held: dict[str, str] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)


class Deleting:
    """Deletes, takes back, purges, and sets and releases holds.

    Parameters
    ----------
    after_step
        Called with the name of each step left; fault tests end the process there.
    auditor
        Takes a record of each deed before it is done; where it cannot, nothing is done and AuditUnavailable is raised.
    kind
        How whoever does it was recognized.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        landing: Store,
        catalogue: Catalogue,
        after_step: Callable[[str], object] = lambda _: None,
        auditor: Auditor = _NO_AUDIT,
        kind: PrincipalKind = PrincipalKind.LOCAL,
    ) -> None:
        self._stores = stores
        self._landing = landing
        self._catalogue = catalogue
        self._ledger = catalogue.deletions
        self._packed = DeletedMembers(stores, landing, catalogue)
        self._after_step = after_step
        self._auditor = auditor
        self._kind = kind

    def _note(self, by: str, what: str, study: str = "") -> None:
        """Have it in the audit trail before it is done. Raises AuditUnavailable: then it is not done."""
        studies = (StudyObject(study),) if study else ()
        principal = Principal(self._kind, by)
        self._auditor.note_durably(AuditEvent(AuditEventId.DELETED, principal, description=what, studies=studies))

    def set_hold(self, level: Extent, identifier: str, reason: str, by: str, issuer: str = "") -> Hold:
        """Hold a patient, a study or a series, held already or not: nothing of it is deleted until the hold is released.

        Raises
        ------
        InvalidRequest
            The identifier or the reason is empty, or the level is that of an instance.
        OutOfResources, StoreUnavailable
            The hold is in force, but the landing store has no note of it yet; set or release any hold to write it.
        """
        hold = Hold(_new_id(), level, _required(identifier, "identifier"), issuer, _required(reason, "reason"), by, _now())
        self._note(by, f"hold on {level.value} {identifier}: {hold.reason}")
        self._catalogue.holds.set(hold)
        self._after_step("held")
        self._write_notes()
        return hold

    def release_hold(self, hold_id: str, by: str) -> Hold:
        """End a hold. Raises NotFound."""
        self._note(by, f"release of hold {hold_id}")
        hold = self._catalogue.holds.release(hold_id, by, _now())
        for job in self._catalogue.jobs.every(kind=PURGE):  # what a hold had kept from its end
            self._catalogue.jobs.add(PURGE, job.key, job.payload, priority=BACKGROUND)
        self._write_notes()
        return hold

    def delete(
        self,
        level: Extent,
        uid: str,
        reason: str,
        by: str,
        *,
        only: Collection[str] | None = None,
        versions: Collection[int] = (),
        kind: CorrectionKind = CorrectionKind.DELETE,
        rejection: Rejection | None = None,
        note: str = "",
        received: Received | None = None,
    ) -> Deletion:
        """Hide a study, a series or an instance with all its versions: no query and no retrieval answers. The octets stay.

        Parameters
        ----------
        only
            Of the study or series, these SOP Instance UIDs alone.
        versions
            Keys of the versions to be set aside, with `Extent.VERSION` (see `vna_core.stewardship.settling`).
        kind
            What members of a federation are told that it is.
        rejection, note
            Why it is rejected, and by which rejection note: then its octets are never purged, and a hold does not keep it.
        received
            Where it was decided, if elsewhere.

        Raises
        ------
        NotFound
            Nothing is held under this UID.
        UnderHold
            Some of it is under a hold: nothing was deleted.
        InvalidRequest
            UID or reason is empty, the level is that of a patient, or of an instance no version would be left.
        OutOfResources, StoreUnavailable
            It is deleted, but the landing store has no note of it yet; the next deletion or purge writes it.
        """
        if level is Extent.PATIENT:
            raise InvalidRequest("Studies, series and instances are deleted, not patients.")
        if versions and level is not Extent.VERSION:
            raise InvalidRequest("Versions are set aside by themselves.")
        code = "" if rejection is None else rejection.value
        told = (_required(uid, "UID"), _required(reason, "reason"), by, _now())
        wanted = Deletion(_new_id(), level, *told, rejection=code, note=note)
        what = "deletion" if rejection is None else f"rejection ({rejection.value}, {rejection.meaning})"
        what = f"{what} of {level.value} {uid}"
        if level is Extent.VERSION:
            what = f"versions set aside under {uid}, as another one is right ({len(versions)})"
        self._note(by, f"{what}: {wanted.reason}", uid if level is Extent.STUDY else "")
        deletion = self._ledger.hide(wanted, only=only, versions=versions, kind=kind, received=received)
        self._after_step("hidden")
        self._write_notes()
        done = "versions-set-aside" if level is Extent.VERSION else "deleted"
        _log.warning(done, deletion=deletion.id, level=level.value, versions=deletion.versions, by=by)
        return deletion

    def undelete(self, deletion_id: str, by: str, received: Received | None = None) -> Deletion:
        """Take a deletion back: its objects are read, proven and recorded again. An interrupted one is gone on with.

        Raises
        ------
        NotFound, InvalidRequest
            There is no such deletion, or it was purged.
        DigestMismatch, ObjectMissing, StoreUnavailable
            An object cannot be read: repair it, then call again.
        RecallPending
            Objects lie in an archive tier and are being recalled now; nothing was taken back. Call again when they are there.
        """
        self._recall(deletion_id)
        self._note(by, f"deletion {deletion_id} taken back")
        if note := self._ledger.begin_undo(deletion_id, by, _now(), received).note:
            self._catalogue.rejections.arrived(note)  # nothing that the note names is awaited any more
        self._after_step("undoing")
        self._write_notes()
        taking_up = TakingUp(self._stores, self._catalogue)
        made_again: list[tuple[Renormalization, FoundObject]] = []
        for where in self._ledger.objects(deletion_id):
            if not where.length:  # it is in a pack too
                continue
            found = self._packed.kept_apart(self._found(where, deletion_id))
            result = taking_up.first(found)
            self._after_step("taken-up")
            if isinstance(result, Renormalization):
                made_again.append((result, found))
        undone = undone_runs(self._stores)
        for _, found in sorted(made_again, key=lambda one: (one[0].at, one[0].generation, one[1].key)):
            taking_up.again(found, undone)
        octets = {one.original_sha256 for one in self._ledger.versions(deletion_id)}
        for store in self._stores.values():
            deliver_again(store, self._catalogue, octets)
        self._ledger.end_undo(deletion_id)
        _log.warning("undeleted", deletion=deletion_id, by=by)
        return self._ledger.deletion(deletion_id)

    def _recall(self, deletion_id: str) -> None:
        """Have everything of a deletion brought back that lies in an archive tier. Raises RecallPending until it is there."""
        if self._ledger.deletion(deletion_id).state not in (HIDDEN, UNDOING):
            return
        waiting = 0
        for name, key in dict.fromkeys((one.store, one.key) for one in self._ledger.objects(deletion_id) if one.length):
            store = self._stores.get(name)
            if store is not None and store.abilities().recall:
                waiting += not with_answer(store, lambda store=store, key=key: store.recall(key, _DAYS))  # type: ignore[misc]
        if waiting:
            raise RecallPending(
                f"{waiting} objects of deletion {deletion_id} lie in an archive tier and are being recalled: call this again when "
                "they are there.",
                deletion=deletion_id,
                retry_after=_RETRY_AFTER,
            )

    def purge(
        self,
        by: str,
        grace: timedelta,
        only: str | None = None,
        progress: Callable[[str], object] = lambda _: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> PurgeReport:
        """Remove the objects of deletions that are older than `grace`, in every store; go on with what was begun.

        Parameters
        ----------
        only
            One deletion by its id.

        Raises
        ------
        NotFound, InvalidRequest
            There is no such deletion, it was taken back, it keeps its octets, or its time of grace is not over.
        OutOfResources, StoreUnavailable
            The landing store cannot take the note that comes first.
        """
        report = PurgeReport()
        self._write_notes()
        for deletion in self._due(grace, only):
            if stopping():
                break
            if deletion.state == HIDDEN:
                self._note(by, f"purge of deletion {deletion.id}")
            try:
                self._ledger.begin_purge(deletion.id, by, _now())
            except UnderHold as error:
                report.held[deletion.id] = str(error.fields["hold"])
                continue
            self._after_step("purging")
            self._write_notes()
            self._after_step("noted")
            if self._remove(deletion.id, report):
                self._ledger.end_purge(deletion.id)
                report.purged.append(deletion.id)
                _log.warning("purged", deletion=deletion.id, by=by)
            else:
                self._catalogue.jobs.ensure(PURGE, deletion.id, {"by": by}, priority=BACKGROUND)
            progress(deletion.id)
        return report

    def _due(self, grace: timedelta, only: str | None) -> list[Deletion]:
        if only is None:
            found, after = list[Deletion](), ""
            while page := self._ledger.listed(HIDDEN, PURGING, after=after):
                found += page
                after = page[-1].id
            return [one for one in found if one.state == PURGING or (not one.keeps_octets and one.deleted_at + grace <= _now())]
        deletion = self._ledger.deletion(only)
        if deletion.state == HIDDEN and deletion.deleted_at + grace > _now():
            raise InvalidRequest(f"The time of grace of {only} ends on {deletion.deleted_at + grace:%Y-%m-%d %H:%M} UTC.")
        return [] if deletion.state == PURGED else [deletion]

    def _remove(self, deletion_id: str, report: PurgeReport) -> bool:
        """Remove every object of a deletion; whether nothing is left."""
        complete = True
        for where in self._ledger.objects(deletion_id):
            staying = self._removed(where)
            self._after_step("removed")
            if staying is not None:
                report.left.append(Left(deletion_id, where.store, where.key, staying.why, staying.silent))
                complete = False
            else:
                self._ledger.gone(where)
                report.objects += 1
        versions = self._ledger.versions(deletion_id) if complete else ()
        for study, series in sorted({(one.study_instance_uid, one.series_instance_uid) for one in versions}):
            staying = self._packed.unknown_removed(study, series)
            if staying is not None:
                report.left.append(Left(deletion_id, self._landing.name, pack_folder(study, series), staying.why, staying.silent))
                complete = False
        return complete

    def _removed(self, where: DeletedObject) -> Staying | None:
        """Remove one object from the store it is listed in, and from any other that has a copy; why it could not be, or None."""
        if where.store not in self._stores:
            return Staying("the store is not configured")
        if not where.key.startswith(STUDIES):
            return self._packed.removed(where)
        for store in self._stores.values():
            try:
                delete_released(store, where.key)
                store.stat(where.key)
            except ObjectMissing:
                continue
            except StorageError as error:
                return Staying.because(store.name, error)
            return Staying(f"store {store.name} still has it")
        return None

    def _store(self, where: DeletedObject) -> Store:
        store = self._stores.get(where.store)
        if store is None:
            raise NotFound(f"The object is in a store that is not configured: {where.store}.", store=where.store)
        return store

    def _found(self, where: DeletedObject, deletion_id: str) -> FoundObject:
        """A deleted object where it lies, in a pack or alone. Raises DigestMismatch for what is none of the deletion's."""
        store, sha256 = self._store(where), ""
        if where.key.startswith(PACKS):
            digest = hashlib.sha256()
            for piece in store.chunks(where.key, ByteRange(where.offset, where.length)):
                digest.update(piece)
            sha256 = digest.hexdigest()
            members = [
                one for pack in self._catalogue.packs.listed(key=where.key) for one in self._catalogue.packs.members(pack.pk)
            ]
            known = {one.sha256 for one in members} | {one.sha256 for one in self._ledger.versions(deletion_id)}
            if sha256 not in known:
                raise DigestMismatch("What lies in the pack is not what was deleted.", store=where.store, key=where.key)
        return FoundObject(store, where.key, where.length, where.offset, sha256)

    def _write_notes(self) -> None:
        write_notes(self._stores, self._landing, self._catalogue)


def _new_id() -> str:
    """Sorts by time; the end tells those of one moment apart."""
    return f"{_now():%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"


def _now() -> datetime:
    return datetime.now(UTC)


def _required(text: str, what: str) -> str:
    if not text.strip():
        raise InvalidRequest(f"The {what} is empty.")
    if len(text) > REASON_LENGTH:
        raise InvalidRequest(f"The {what} is longer than {REASON_LENGTH} characters.")
    return text
