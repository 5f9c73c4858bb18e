"""What a source lists, against what it listed before: additions, corrections and deletions at the source (decision D10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import func, insert, select, update

from vna_core.catalogue.database import Database
from vna_core.catalogue.migration_decoding import STUDY, instances_of, study_of
from vna_core.catalogue.migration_ledger import compared_anew
from vna_core.catalogue.migration_modalities import as_inventoried, as_told
from vna_core.catalogue.migration_rows import Difference, InstanceEnd, LedgerInstance, LedgerStudy, ListedStudy
from vna_core.catalogue.migration_telling import telling
from vna_core.catalogue.migration_writing import UNLISTED, Statements, Writing
from vna_core.catalogue.schema_migration import migration_instances, migration_studies
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.migration import MOVED, InstanceState, StudyState
from vna_core.ports.pacs import InventoriedInstance

_PIECE: Final = 400
_CORRECTED: Final = (*MOVED, StudyState.PARTIAL)
_UNMOVED: Final = (InstanceState.INVENTORIED, InstanceState.FAILED, InstanceState.MISSING, InstanceState.QUARANTINED)
_GONE: Final = ("deleted-at-source", "gone-before-moved")
_OF_LISTS: Final = ("no-instances", "count-differs", "answer-without-uid", "inventory-failed")
"""Reasons that the next list of a study's instances cures, or gives anew."""
_Name = tuple[str, str, int]
"""What an instance of a study is known by; see `_numbered`."""


class Listing:
    """Writes inventories into the ledger. Every method may be called from several threads and processes at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements = Statements(database)

    def list_studies(self, campaign: str, inventory: int, studies: Sequence[ListedStudy], worker: str) -> int:
        """Note studies that the source lists; how many of them this inventory did not know yet.

        A study listed again with another description after it moved becomes an exception; its instances are asked for again.
        """
        fresh = 0
        for at in range(0, len(studies), _PIECE):
            piece: dict[str, ListedStudy] = {}
            shared: dict[str, str] = {}
            for study in studies[at : at + _PIECE]:
                first = piece.setdefault(identifier(study.study_instance_uid), study)
                if first is not study and _another_patient(identifier(first.patient_id), study):
                    shared[identifier(study.study_instance_uid)] = _both(first.patient_id, study)
            with self._database.transaction() as session:
                writing = Writing(self._statements, session, campaign, worker)
                known = self._known(session, campaign, list(piece))
                for uid, study in piece.items():
                    row = known.get(uid)
                    fresh += row is None or row[4] < inventory
                    if row is None:
                        pk = self._insert_study(session, writing, campaign, inventory, uid, study)
                    else:
                        pk = row[1]
                        self._list_again(session, writing, inventory, row, study)
                    if uid in shared:
                        writing.except_("shared-study-uid", pk, detail=shared[uid])
                writing.close()
        return fresh

    def _known(self, session: Any, campaign: str, uids: Sequence[str]) -> dict[str, Any]:
        columns = migration_studies.c
        statement = select(
            columns.study_instance_uid,
            columns.pk,
            columns.state,
            columns.fingerprint,
            columns.last_inventory,
            columns.instances,
            columns.told_instances,
            columns.instances_inventory,
            columns.patient_id,
            columns.removed_inventory,
        ).where(columns.campaign == to_stored(campaign), columns.study_instance_uid.in_(list(uids)))
        return {row[0]: row for row in session.run(statement).fetchall()}

    def _insert_study(self, session: Any, writing: Writing, campaign: str, inventory: int, uid: str, study: ListedStudy) -> int:
        row = session.run(
            insert(migration_studies)
            .values(
                campaign=to_stored(campaign),
                study_instance_uid=uid,
                told_instances=study.instances,
                fingerprint=study.fingerprint,
                first_inventory=inventory,
                last_inventory=inventory,
                state=StudyState.LISTED.value,
                updated_at=writing.at,
                **telling(study),
            )
            .returning(migration_studies.c.pk)
        ).fetchone()
        writing.note(row[0], 0, "", StudyState.LISTED.value, "inventory", f"inventory {inventory}")
        writing.count("study", StudyState.LISTED.value)
        return int(row[0])

    def _list_again(self, session: Any, writing: Writing, inventory: int, row: Any, study: ListedStudy) -> None:
        _, pk, state, fingerprint, last, instances, told, known_for, patient, removed = row
        if last == inventory:  # answered to another question of the same inventory: some sources answer each a little otherwise
            if _another_patient(patient, study):
                writing.except_("shared-study-uid", pk, detail=_both(from_stored(patient), study))
            return
        values: dict[str, Any] = {"last_inventory": inventory, "told_instances": study.instances}
        if removed:
            values["removed_inventory"] = 0
            writing.note(pk, 0, state, state, "listed-again", f"inventory {inventory}")
            writing.count(UNLISTED, "studies", number=-1)
        if fingerprint != study.fingerprint:
            values |= {"fingerprint": study.fingerprint, **telling(study)}
            if state in _CORRECTED:
                detail = "the description changed" + (", and the patient" if patient != identifier(study.patient_id) else "")
                writing.except_("source-changed", pk, detail=detail, cause=study.fingerprint)
                writing.note(pk, 0, state, state, "source-changed", detail)
        elif study.instances == instances == told and instances > 0 and known_for == last and not removed:
            values["instances_inventory"] = inventory  # the source counts what is known: nothing to be asked
        else:
            values |= as_told(study.modalities)
        session.run(update(migration_studies).where(migration_studies.c.pk == pk).values(**values))

    def record_instances(
        self, study: LedgerStudy, inventory: int, found: Sequence[InventoriedInstance], worker: str
    ) -> Difference:
        """Note the instances that the source says a study has, against those it had before; the study waits for what is new.

        Those without SOP Instance UID cannot be asked for: they are counted on the worklist.
        """
        nameless = sum(not one.sop_instance_uid for one in found)
        with self._database.transaction() as session:
            writing = Writing(self._statements, session, study.campaign, worker)
            known = _numbered(instances_of(session, study.pk))
            wanted = _as_known([one for one in found if one.sop_instance_uid], known)
            unlisted = [one for key, one in known.items() if key not in wanted]
            gone = [one for one in unlisted if one.state is not InstanceState.DELETED_AT_SOURCE]
            new = [one for key, one in wanted.items() if key not in known]
            back = [known[key] for key in wanted if key in known and known[key].state is InstanceState.DELETED_AT_SOURCE]
            kept = len(gone) if not wanted and any(_is_unmoved(one) for one in gone) else 0
            gone = [] if kept else gone  # an empty list is no word about each: what is not held is asked for all the same
            self._insert_instances(session, writing, study.pk, inventory, new)
            self._mark_removed(session, writing, study, inventory, gone)
            if back:
                keys = [one.pk for one in back]
                for at in range(0, len(keys), _PIECE):
                    these = migration_instances.c.pk.in_(keys[at : at + _PIECE])
                    session.run(update(migration_instances).where(these).values(removed_inventory=0))
                writing.end_instances(
                    study.pk, [InstanceEnd(one, InstanceState.INVENTORIED, rule="listed-again") for one in back]
                )
            if back or study.state is StudyState.DELETED_AT_SOURCE:
                self._solve_gone(writing, study, unlisted)
            self._after_inventory(session, writing, study, inventory, list(wanted.values()), bool(new or back), kept)
            self._judge(writing, study, len(wanted), kept, nameless)
            writing.close()
        return Difference(len(new) + len(back), len(gone))

    def record_failure(self, study: LedgerStudy, message: str, worker: str) -> None:
        """Note that the source does not list the instances of a study though it answers otherwise; what it listed before stays."""
        with self._database.transaction() as session:
            writing = Writing(self._statements, session, study.campaign, worker)
            writing.except_("inventory-failed", study.pk, detail=message, sample=study.study_instance_uid)
            writing.close()

    @staticmethod
    def _solve_gone(writing: Writing, study: LedgerStudy, unlisted: Sequence[LedgerInstance]) -> None:
        """A study is listed again: what was said of its deletion is over, unless some of it still is gone."""
        if not any(one.state is InstanceState.DELETED_AT_SOURCE for one in unlisted):
            writing.solve(study.pk, _GONE, "listed-again")

    def _insert_instances(
        self, session: Any, writing: Writing, study: int, inventory: int, new: Sequence[InventoriedInstance]
    ) -> None:
        names = ("study_fk", "series_instance_uid", "sop_instance_uid", "sop_class_uid", "modality", "source_digest")
        rows = [
            {
                **dict.fromkeys(names, ""),
                "study_fk": study,
                "series_instance_uid": identifier(one.series_instance_uid),
                "sop_instance_uid": identifier(one.sop_instance_uid),
                "sop_class_uid": identifier(one.sop_class_uid),
                "modality": to_stored(one.modality[:64]),
                "source_digest": one.digest,
                "first_inventory": inventory,
                "state": InstanceState.INVENTORIED.value,
                "updated_at": writing.at,
            }
            for one in new
        ]
        if rows:
            prepared = self._database.prepare(insert(migration_instances).values(rows[0]))
            session.executemany(prepared.sql, [prepared.arrange(row) for row in rows])
            writing.note(study, 0, "", InstanceState.INVENTORIED.value, "inventory", f"{len(rows)} instances")
            writing.count("instance", InstanceState.INVENTORIED.value, number=len(rows))

    def _mark_removed(
        self, session: Any, writing: Writing, study: LedgerStudy, inventory: int, gone: Sequence[LedgerInstance]
    ) -> None:
        if not gone:
            return
        held = [one for one in gone if _is_held(one)]
        for one in gone:
            writing.note(study.pk, one.pk, one.state.value, InstanceState.DELETED_AT_SOURCE.value, "inventory", one.outcome)
            writing.count("instance", one.state.value, one.outcome, -1, -one.received_size)
            writing.count("instance", InstanceState.DELETED_AT_SOURCE.value, one.outcome, 1, one.received_size)
        for at in range(0, len(gone), _PIECE):
            keys = [one.pk for one in gone[at : at + _PIECE]]
            session.run(
                update(migration_instances)
                .where(migration_instances.c.pk.in_(keys))
                .values(state=InstanceState.DELETED_AT_SOURCE.value, removed_inventory=inventory)
            )
        if held:
            sample, cause = held[0].stored_sop_instance_uid, f"inventory {inventory}"
            writing.except_("deleted-at-source", study.pk, detail=f"{len(held)} instances", sample=sample, cause=cause)
        lost = [one for one in gone if _is_unmoved(one)]
        if lost:
            sample, cause = lost[0].sop_instance_uid, f"inventory {inventory}"
            writing.except_("gone-before-moved", study.pk, detail=f"{len(lost)} instances", sample=sample, cause=cause)

    def _after_inventory(
        self,
        session: Any,
        writing: Writing,
        study: LedgerStudy,
        inventory: int,
        found: Sequence[InventoriedInstance],
        more: bool,
        kept: int,
    ) -> None:
        count = len(found)
        session.run(
            update(migration_studies)
            .where(migration_studies.c.pk == study.pk)
            .values(instances=count or kept, instances_inventory=inventory, **({} if kept else as_inventoried(study, found)))
        )
        if more and study.state in _CORRECTED:
            writing.move_study(study.pk, StudyState.SOURCE_CHANGED, "inventory", "further instances at the source")
        if more or study.state in (StudyState.LISTED, StudyState.DELETED_AT_SOURCE):
            writing.move_study(study.pk, StudyState.INVENTORIED, "inventory", f"{count} instances")

    @staticmethod
    def _judge(writing: Writing, study: LedgerStudy, count: int, kept: int, nameless: int) -> None:
        """Put on the worklist what is odd about a list of instances, and take from it what is no more."""
        odd: dict[str, str] = {}
        if kept:
            odd["no-instances"] = f"the source listed {kept} instances before, and none now; they are asked for as listed before"
        elif count == 0:
            odd["no-instances"] = "the source lists the study without instances"
        if 0 <= count < study.told_instances:
            odd["count-differs"] = f"counted {study.told_instances}, listed {count}"
        if nameless:
            odd["answer-without-uid"] = f"{nameless} instances without SOP Instance UID beside {count} with one"
        for reason, detail in odd.items():
            writing.except_(reason, study.pk, detail=detail)
        writing.solve(study.pk, [reason for reason in _OF_LISTS if reason not in odd], "inventory")

    def unlisted(self, campaign: str, inventory: int) -> tuple[int, int]:
        """How many studies of earlier inventories this one does not list, and how many there are of them."""
        columns = migration_studies.c
        known = (
            (columns.campaign == to_stored(campaign)) & (columns.first_inventory < inventory) & (columns.removed_inventory == 0)
        )
        statement = select(func.count()).select_from(migration_studies)
        with self._database.session() as session:
            total = session.run(statement.where(known)).fetchone()[0]
            gone = session.run(statement.where(known, columns.last_inventory < inventory)).fetchone()[0]
        return int(gone), int(total)

    def remove_unlisted(self, campaign: str, inventory: int, worker: str, accepted_by: str = "") -> int:
        """After a complete inventory: what it does not list any more is gone at the source; how many studies.

        What had not been moved goes on the worklist, as accepted by `accepted_by` where somebody said beforehand that it was
        deleted on purpose.
        """
        columns = migration_studies.c
        unlisted = (
            (columns.campaign == to_stored(campaign)) & (columns.last_inventory < inventory) & (columns.removed_inventory == 0)
        )
        total = 0
        while True:
            with self._database.session() as session:
                rows = session.run(select(*STUDY).where(unlisted).order_by(columns.pk).limit(_PIECE)).fetchall()
            if not rows:
                return total
            for study in map(study_of, rows):
                self._remove(study, inventory, worker, accepted_by)
                total += 1

    def _remove(self, study: LedgerStudy, inventory: int, worker: str, accepted_by: str) -> None:
        with self._database.transaction() as session:
            writing = Writing(self._statements, session, study.campaign, worker)
            session.run(update(migration_studies).where(migration_studies.c.pk == study.pk).values(removed_inventory=inventory))
            writing.count(UNLISTED, "studies")
            present = [one for one in instances_of(session, study.pk) if one.state is not InstanceState.DELETED_AT_SOURCE]
            self._mark_removed(session, writing, study, inventory, present)
            if study.state is StudyState.LISTED:
                detail = "gone before its instances were listed"
                writing.except_("gone-before-moved", study.pk, detail=detail, cause=f"inventory {inventory}")
            if accepted_by:
                writing.accept(study.pk, "gone-before-moved", accepted_by, "--accept-deletions")
            if not any(_is_held(one) for one in present):
                writing.move_study(study.pk, StudyState.DELETED_AT_SOURCE, "inventory", f"inventory {inventory}")
            writing.close()


def _is_held(one: LedgerInstance) -> bool:
    """Whether the archive has an instance, also while it waits to be fetched once more."""
    return one.state is InstanceState.STORED or compared_anew(one)


def _is_unmoved(one: LedgerInstance) -> bool:
    return one.state in _UNMOVED and not _is_held(one)


def _uids(one: LedgerInstance | InventoriedInstance) -> tuple[str, str]:
    return identifier(one.series_instance_uid), identifier(one.sop_instance_uid)


def _numbered(known: Iterable[LedgerInstance]) -> dict[_Name, LedgerInstance]:
    """Instances by their UIDs and a number, which is 0 but for the further files of a source that has several under one UID."""
    numbered: dict[_Name, LedgerInstance] = {}
    for one in known:
        uids, number = _uids(one), 0
        while (*uids, number) in numbered:
            number += 1
        numbered[*uids, number] = one
    return numbered


def _as_known(found: Iterable[InventoriedInstance], known: Mapping[_Name, LedgerInstance]) -> dict[_Name, InventoriedInstance]:
    """What is listed, under the names of what is known of it. Digests tell files under one UID apart, and nothing else: the one file
    under a UID is the one that was known, whichever digest it has now."""
    listed: dict[tuple[str, str], dict[str, InventoriedInstance]] = {}
    for one in found:
        listed.setdefault(_uids(one), {})[one.digest] = one
    named: dict[_Name, InventoriedInstance] = {}
    for uids, files in listed.items():
        if len(files) == 1 and (*uids, 1) not in known:
            named[*uids, 0] = next(iter(files.values()))
            continue
        numbers: dict[int, str] = {}
        while (before := known.get((*uids, len(numbers)))) is not None:
            numbers[len(numbers)] = before.source_digest
        same = {digest: number for number, digest in numbers.items() if digest in files}
        free = iter(number for number in range(len(numbers) + len(files)) if number not in same.values())
        named |= {(*uids, same[digest] if digest in same else next(free)): one for digest, one in files.items()}
    return named


def _another_patient(patient: str, study: ListedStudy) -> bool:
    """Whether a study listed for a patient (as stored) is listed here for another one."""
    return bool(patient and study.patient_id and patient != identifier(study.patient_id))


def _both(patient_id: str, study: ListedStudy) -> str:
    return f"listed for patients {patient_id} and {study.patient_id} in one inventory"
