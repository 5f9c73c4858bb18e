"""The ledger of migrations: what a source said it holds, and how each study and instance went on (decision D10).

Every change is one short transaction that also writes the history and the counts. The cost of a change follows the study it is
about, never the number of rows in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import case, func, insert, select, update

from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.migration_rows import Difference, InstanceEnd, LedgerInstance, LedgerStudy, ListedStudy
from vna_core.catalogue.migration_telling import telling
from vna_core.catalogue.migration_writing import Statements, Writing, now
from vna_core.catalogue.schema_migration import migration_exceptions, migration_instances, migration_studies
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.migration import MOVED, OPEN, InstanceState, StudyState
from vna_core.ports.pacs import InventoriedInstance

COPY_DAMAGED: Final = "copy damaged"
"""Detail of an instance whose stored copy does not give back the octets as received any more."""

_PIECE: Final = 400
_STUDY: Final = tuple(migration_studies.c[name] for name in LedgerStudy.__dataclass_fields__)
_INSTANCE: Final = tuple(migration_instances.c[name] for name in LedgerInstance.__dataclass_fields__)
_OPEN: Final = tuple(state.value for state in OPEN)
_CORRECTED: Final = (*MOVED, StudyState.PARTIAL)


Ask = Callable[[Session, int], object]
"""Asks for the job of a study, by its key, in the transaction of a session."""


class Ledger:
    """Writes the ledger. Every method may be called from several threads and processes at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements = Statements(database)

    @contextmanager
    def writing(self, campaign: str, worker: str) -> Iterator[Writing]:
        """One transaction; durable when the block is left without an exception."""
        with self._database.transaction() as session:
            writing = Writing(self._statements, session, campaign, worker)
            yield writing
            writing.close()

    # -- inventory --------------------------------------------------------------------------------------------------------

    def list_studies(self, campaign: str, inventory: int, studies: Sequence[ListedStudy], worker: str) -> int:
        """Note studies that the source lists; how many of them this inventory did not know yet.

        A study listed again with another description after it moved becomes an exception; its instances are asked for again.
        """
        fresh = 0
        for at in range(0, len(studies), _PIECE):
            piece = {identifier(study.study_instance_uid): study for study in studies[at : at + _PIECE]}
            with self._database.transaction() as session:
                writing = Writing(self._statements, session, campaign, worker)
                known = self._known(session, campaign, list(piece))
                for uid, study in piece.items():
                    row = known.get(uid)
                    fresh += row is None or row[4] < inventory
                    if row is None:
                        self._insert_study(session, writing, campaign, inventory, uid, study)
                    else:
                        self._list_again(session, writing, inventory, row, study)
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

    def _insert_study(self, session: Any, writing: Writing, campaign: str, inventory: int, uid: str, study: ListedStudy) -> None:
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

    def _list_again(self, session: Any, writing: Writing, inventory: int, row: Any, study: ListedStudy) -> None:
        _, pk, state, fingerprint, last, instances, told, known_for, patient, removed = row
        if last == inventory:  # answered to another question of the same inventory: some sources answer each a little otherwise
            if patient and study.patient_id and patient != identifier(study.patient_id):
                writing.except_("shared-study-uid", pk, detail="listed for several patients in one inventory")
            return
        values: dict[str, Any] = {"last_inventory": inventory, "told_instances": study.instances}
        if removed:
            values["removed_inventory"] = 0
            writing.note(pk, 0, state, state, "listed-again", f"inventory {inventory}")
        if fingerprint != study.fingerprint:
            values |= {"fingerprint": study.fingerprint, **telling(study)}
            if state in _CORRECTED:
                detail = "the description changed" + (", and the patient" if patient != identifier(study.patient_id) else "")
                writing.except_("source-changed", pk, detail=detail)
                writing.note(pk, 0, state, state, "source-changed", detail)
        elif study.instances == instances and instances > 0 and known_for == last and not removed:
            values["instances_inventory"] = inventory  # the source counts what is known: nothing to be asked
        session.run(update(migration_studies).where(migration_studies.c.pk == pk).values(**values))

    def record_instances(
        self, study: LedgerStudy, inventory: int, found: Sequence[InventoriedInstance], worker: str
    ) -> Difference:
        """Note the instances that the source says a study has, against those it had before; the study waits for what is new."""
        wanted = {(identifier(one.series_instance_uid), identifier(one.sop_instance_uid)): one for one in found}
        with self._database.transaction() as session:
            writing = Writing(self._statements, session, study.campaign, worker)
            known = {(one.series_instance_uid, one.sop_instance_uid): one for one in self._instances(session, study.pk)}
            gone = [
                one
                for key, one in known.items()
                if (identifier(key[0]), identifier(key[1])) not in wanted and one.state is not InstanceState.DELETED_AT_SOURCE
            ]
            stored_keys = {(identifier(key[0]), identifier(key[1])): one for key, one in known.items()}
            new = [one for key, one in wanted.items() if key not in stored_keys]
            back = [
                stored_keys[key]
                for key in wanted
                if key in stored_keys and stored_keys[key].state is InstanceState.DELETED_AT_SOURCE
            ]
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
            self._after_inventory(session, writing, study, inventory, len(wanted), bool(new or back))
            writing.close()
        return Difference(len(new) + len(back), len(gone))

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
        held = [one for one in gone if one.state is InstanceState.STORED]
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
            writing.except_(
                "deleted-at-source", study.pk, detail=f"{len(held)} instances", sample=held[0].stored_sop_instance_uid
            )

    def _after_inventory(
        self, session: Any, writing: Writing, study: LedgerStudy, inventory: int, count: int, more: bool
    ) -> None:
        session.run(
            update(migration_studies)
            .where(migration_studies.c.pk == study.pk)
            .values(instances=count, instances_inventory=inventory)
        )
        if count == 0:
            writing.except_("no-instances", study.pk, detail="the source lists the study without instances")
        else:
            writing.solve(study.pk, ("no-instances",), "inventory")
        if 0 <= count < study.told_instances:
            writing.except_("count-differs", study.pk, detail=f"counted {study.told_instances}, listed {count}")
        else:
            writing.solve(study.pk, ("count-differs",), "inventory")
        if more and study.state in _CORRECTED:
            writing.move_study(study.pk, StudyState.SOURCE_CHANGED, "inventory", "further instances at the source")
        if more or study.state is StudyState.LISTED:
            writing.move_study(study.pk, StudyState.INVENTORIED, "inventory", f"{count} instances")

    def remove_unlisted(self, campaign: str, inventory: int, worker: str) -> int:
        """After a complete inventory: what it does not list any more is gone at the source; how many studies."""
        columns = migration_studies.c
        unlisted = (
            (columns.campaign == to_stored(campaign)) & (columns.last_inventory < inventory) & (columns.removed_inventory == 0)
        )
        total = 0
        while True:
            with self._database.session() as session:
                rows = session.run(select(*_STUDY).where(unlisted).order_by(columns.pk).limit(_PIECE)).fetchall()
            if not rows:
                return total
            for study in map(study_of, rows):
                self._remove(study, inventory, worker)
                total += 1

    def _remove(self, study: LedgerStudy, inventory: int, worker: str) -> None:
        with self._database.transaction() as session:
            writing = Writing(self._statements, session, study.campaign, worker)
            session.run(update(migration_studies).where(migration_studies.c.pk == study.pk).values(removed_inventory=inventory))
            present = [one for one in self._instances(session, study.pk) if one.state is not InstanceState.DELETED_AT_SOURCE]
            self._mark_removed(session, writing, study, inventory, present)
            if not any(one.state is InstanceState.STORED for one in present):
                writing.move_study(study.pk, StudyState.DELETED_AT_SOURCE, "inventory", f"inventory {inventory}")
            writing.close()

    # -- moving -----------------------------------------------------------------------------------------------------------

    def queue(self, campaign: str, limit: int, worker: str, ask: Ask) -> int:
        """Queue the next studies in their order, and ask for the job of each in the same transaction; how many."""
        columns = migration_studies.c
        waiting = (columns.campaign == to_stored(campaign)) & (columns.state == StudyState.INVENTORIED.value)
        statement = select(columns.pk).where(waiting).order_by(columns.priority, columns.position, columns.pk).limit(limit)
        with self.writing(campaign, worker) as writing:
            keys = [row[0] for row in writing.session.run(statement).fetchall()]
            queued = [pk for pk in keys if writing.move_study(pk, StudyState.QUEUED, "order")]
            for pk in queued:
                ask(writing.session, pk)
        return len(queued)

    def queue_now(self, study: LedgerStudy, worker: str, ask: Ask, rule: str = "asked for") -> bool:
        """Queue one study before its turn; whether it was waiting, or waits already.

        A study that went on since `study` was read is left where it is: somebody else asked for it. So is one that is being
        retrieved; its job is asked for, in case that its worker has died.
        """
        with self.writing(study.campaign, worker) as writing:
            if study.state in (StudyState.PARTIAL, StudyState.LISTED):
                writing.move_study(study.pk, StudyState.INVENTORIED, rule, only_from=(study.state,))
            seen = (StudyState.INVENTORIED, study.state)
            moved = study.state is not StudyState.RETRIEVING and writing.move_study(
                study.pk, StudyState.QUEUED, rule, only_from=seen
            )
            if moved or study.state in (StudyState.QUEUED, StudyState.RETRIEVING):
                ask(writing.session, study.pk)
                return True
        return False

    def move(self, study: LedgerStudy, new: StudyState, worker: str, rule: str, detail: str = "") -> bool:
        """Bring a study to a state where the table of moves allows it; whether it was."""
        with self.writing(study.campaign, worker) as writing:
            return writing.move_study(study.pk, new, rule, detail)

    def end_instances(self, study: LedgerStudy, ends: Sequence[InstanceEnd], worker: str) -> None:
        """Note how instances of one study ended, in one transaction."""
        if ends:
            with self.writing(study.campaign, worker) as writing:
                writing.end_instances(study.pk, ends)

    def order(self, campaign: str) -> None:
        """Give every waiting study its place: by priority, then the patient with the newest study first, all of a patient's
        studies together, newest first."""
        columns = migration_studies.c
        mine = columns.campaign == to_stored(campaign)
        newest = func.max(columns.study_date).over(
            partition_by=(columns.issuer, columns.patient_id, _alone(columns.patient_id, columns.pk))
        )
        ranked = select(columns.pk, columns.patient_id, columns.study_date, newest.label("newest")).where(mine).subquery()
        numbered = select(
            ranked.c.pk,
            func.row_number()
            .over(order_by=(ranked.c.newest.desc(), ranked.c.patient_id, ranked.c.study_date.desc(), ranked.c.pk))
            .label("place"),
        ).subquery()
        with self._database.transaction() as session:
            session.run(
                update(migration_studies).where(migration_studies.c.pk == numbered.c.pk).values(position=numbered.c.place)
            )

    def prioritize(self, campaign: str, priority: int, *, studies: Sequence[str] = (), patients: Sequence[str] = ()) -> list[int]:
        """Give studies, or all studies of patients, another priority (the smaller is moved first); keys of those still to be moved."""
        columns = migration_studies.c
        changed: list[int] = []
        for column, values in ((columns.study_instance_uid, studies), (columns.patient_id, patients)):
            for at in range(0, len(values), _PIECE):
                wanted = [identifier(value) for value in values[at : at + _PIECE]]
                these = (columns.campaign == to_stored(campaign)) & column.in_(wanted)
                with self._database.transaction() as session:
                    session.run(update(migration_studies).where(these).values(priority=priority))
                    rows = session.run(select(columns.pk).where(these, columns.state.in_(_OPEN))).fetchall()
                changed += [row[0] for row in rows]
        return changed

    def retry(self, campaign: str, entries: Sequence[tuple[int, int, int]], by: str) -> int:
        """Ask again for what exceptions are about (key, study, instance; 0: all of the study); how many studies wait again."""
        by_study: dict[int, set[int]] = {}
        for _, study, instance in entries:
            by_study.setdefault(study, set()).add(instance)
        self.close_exceptions(campaign, [entry[0] for entry in entries], "retried", by, "asked for again")
        moved = 0
        for study, keys in by_study.items():
            if not study:
                continue
            with self.writing(campaign, by) as writing:
                lost = (InstanceState.QUARANTINED, InstanceState.FAILED, InstanceState.MISSING)
                ends = [
                    InstanceEnd(one, InstanceState.INVENTORIED, rule="retry")
                    for one in self._instances(writing.session, study)
                    if (one.pk in keys or 0 in keys) and one.state in lost
                ]
                writing.end_instances(study, [end for end in ends if not _damaged(end.instance)])
                moved += writing.move_study(study, StudyState.INVENTORIED, "retry")
        return moved

    def exclude(self, study: LedgerStudy, instances: Sequence[LedgerInstance], by: str, note: str) -> None:
        """Accept that instances cannot be moved: they leave the sums, and the study is whole without them."""
        with self.writing(study.campaign, by) as writing:
            ends = [
                InstanceEnd(
                    one,
                    InstanceState.EXCLUDED,
                    one.outcome,
                    note,
                    one.received_sha256,
                    one.received_size,
                    one.stored_sop_instance_uid,
                    one.quarantine_id,
                    rule="accepted",
                )
                for one in instances
                if one.state is not InstanceState.STORED
            ]
            writing.end_instances(study.pk, ends)
            left = self._instances(writing.session, study.pk)
            if all(one.state not in (InstanceState.FAILED, InstanceState.MISSING, InstanceState.INVENTORIED) for one in left):
                writing.move_study(study.pk, StudyState.STORED, "accepted", note, (StudyState.PARTIAL,))

    # -- worklist ---------------------------------------------------------------------------------------------------------

    def close_exceptions(self, campaign: str, keys: Sequence[int], state: str, by: str, note: str) -> int:
        """Mark entries of the worklist ``accepted`` or ``retried``; how many were open."""
        total = 0
        for at in range(0, len(keys), _PIECE):
            these = migration_exceptions.c.pk.in_(list(keys[at : at + _PIECE])) & (migration_exceptions.c.state == "open")
            with self._database.transaction() as session:
                total += session.run(
                    update(migration_exceptions)
                    .where(these, migration_exceptions.c.campaign == to_stored(campaign))
                    .values(state=state, closed_at=now(), closed_by=to_stored(by), note=to_stored(note))
                ).rowcount
        return total

    def _instances(self, session: Any, study: int) -> list[LedgerInstance]:
        statement = select(*_INSTANCE).where(migration_instances.c.study_fk == study).order_by(migration_instances.c.pk)
        return [instance_of(row) for row in session.run(statement).fetchall()]


def _damaged(one: LedgerInstance) -> bool:
    """Whether an instance is held and its copy was found damaged: it is fetched although it is held."""
    return one.state is InstanceState.FAILED and one.detail == COPY_DAMAGED


def _alone(patient_id: Any, pk: Any) -> Any:
    """Studies without a patient ID stand each for themselves."""
    return case((patient_id == "", pk), else_=0)


def study_of(row: Sequence[Any]) -> LedgerStudy:
    """A study out of a row."""
    values = dict(zip(LedgerStudy.__dataclass_fields__, row, strict=True))
    for name in ("campaign", "study_instance_uid", "patient_id", "issuer", "study_date", "modalities", "accession_number"):
        values[name] = from_stored(values[name])
    return LedgerStudy(**{**values, "state": StudyState(values["state"])})


def instance_of(row: Sequence[Any]) -> LedgerInstance:
    """An instance out of a row."""
    values: dict[str, Any] = {
        name: from_stored(value) if isinstance(value, str) else value
        for name, value in zip(LedgerInstance.__dataclass_fields__, row, strict=True)
    }
    return LedgerInstance(**{**values, "state": InstanceState(values["state"])})
