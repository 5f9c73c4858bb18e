"""The ledger of migrations: how each study and instance that a source listed goes on (decision D10).

Every change is one short transaction that also writes the history and the counts. The cost of a change follows the study it is
about, never the number of rows in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import case, delete, func, select, update

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.migration_decoding import OPEN_STATES, instances_of
from vna_core.catalogue.migration_rows import ExceptionEntry, InstanceEnd, LedgerInstance, LedgerStudy, Retried
from vna_core.catalogue.migration_writing import Statements, Writing
from vna_core.catalogue.schema_jobs import FAILED, jobs
from vna_core.catalogue.schema_migration import migration_exceptions, migration_studies
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.migration import GIVEN_UP, REFETCHED, InstanceState, StudyState

COPY_DAMAGED: Final = "copy damaged"
"""Detail of an instance whose stored copy does not give back the octets as received any more."""

FETCH_AGAIN: Final = "stored; fetched once more"
"""Detail of an instance that is held and waits to be fetched all the same."""

_PIECE: Final = 400


Ask = Callable[[Session, int], object]
"""Asks for the job of a study, by its key, in the transaction of a session."""


class Ledger:
    """Moves what is in the ledger. Every method may be called from several threads and processes at once."""

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
                    rows = session.run(select(columns.pk).where(these, columns.state.in_(OPEN_STATES))).fetchall()
                changed += [row[0] for row in rows]
        return changed

    def retry(self, campaign: str, entries: Sequence[ExceptionEntry], by: str) -> Retried:
        """Ask again for what exceptions are about. One that has nothing to be asked for stays open, and is told.

        What a `REFETCHED` reason is about is fetched though it is stored: the copy stays, and its row keeps what is known of it.
        """
        by_study: dict[int, list[ExceptionEntry]] = {}
        for entry in entries:
            by_study.setdefault(entry.study, []).append(entry)
        asked: list[int] = []
        studies = 0
        for study, about in by_study.items():
            with self.writing(campaign, by) as writing:
                known = instances_of(writing.session, study) if study else []
                wanted = {entry.pk: [one for one in known if _is_wanted(one, entry)] for entry in about}
                moved = [entry.pk for entry in about if study and (wanted[entry.pk] or not known or entry.reason == GIVEN_UP)]
                if not moved:
                    continue
                again = {one.pk: one for found in wanted.values() for one in found if one.state in _ENDED and not _damaged(one)}
                writing.end_instances(study, [_asked_again(one) for one in again.values()])
                writing.move_study(study, StudyState.INVENTORIED, "retry")
                writing.retried(moved, "asked for again")
            asked += moved
            studies += 1
        return Retried(tuple(asked), tuple(one.pk for one in entries if one.pk not in set(asked)), studies)

    def give_up(self, campaign: str, study: int, kind: str, key: str, worker: str, detail: str) -> bool:
        """Put a study that waits, or was being moved, on the worklist, for its job failed or is not there; whether it was.

        A failed job is forgotten with it: who retries asks for a new one. Nothing happens where the job is open (again).
        """
        this = (jobs.c.kind == kind) & (jobs.c.key == to_stored(key))
        with self.writing(campaign, worker) as writing:
            writing.session.run(delete(jobs).where(this, jobs.c.state == FAILED))
            if writing.session.run(select(jobs.c.pk).where(this)).fetchone() is not None:
                return False
            waits = (StudyState.QUEUED, StudyState.RETRIEVING)
            if not writing.move_study(study, StudyState.PARTIAL, GIVEN_UP, detail, only_from=waits):
                return False
            uid = writing.session.run(select(migration_studies.c.study_instance_uid).where(migration_studies.c.pk == study))
            writing.except_(GIVEN_UP, study, detail=detail, sample=from_stored(uid.fetchone()[0]))
        return True

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
            left = instances_of(writing.session, study.pk)
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


_LOST: Final = (InstanceState.QUARANTINED, InstanceState.FAILED, InstanceState.MISSING)
_ENDED: Final = (*_LOST, InstanceState.STORED)


def _is_wanted(one: LedgerInstance, entry: ExceptionEntry) -> bool:
    """Whether a retry of an exception asks for an instance, or finds it asked for already."""
    wanted = (*_LOST, InstanceState.INVENTORIED, *((InstanceState.STORED,) if entry.reason in REFETCHED else ()))
    return entry.instance in (0, one.pk) and one.state in wanted


def _asked_again(one: LedgerInstance) -> InstanceEnd:
    if one.state is not InstanceState.STORED:
        return InstanceEnd(one, InstanceState.INVENTORIED, rule="retry")
    known = (one.received_sha256, one.received_size, one.stored_sop_instance_uid)
    return InstanceEnd(one, InstanceState.INVENTORIED, one.outcome, FETCH_AGAIN, *known, rule="retry")


def fetched_anew(one: LedgerInstance) -> bool:
    """Whether an instance is asked for although it is held: its copy was found damaged, or is to be compared with the source's."""
    return _damaged(one) or compared_anew(one)


def compared_anew(one: LedgerInstance) -> bool:
    """Whether an instance that is stored waits to be fetched once more."""
    return one.state is InstanceState.INVENTORIED and one.detail == FETCH_AGAIN


def _damaged(one: LedgerInstance) -> bool:
    """Whether an instance is held and its copy was found damaged: it is fetched although it is held."""
    return one.state is InstanceState.FAILED and one.detail == COPY_DAMAGED


def _alone(patient_id: Any, pk: Any) -> Any:
    """Studies without a patient ID stand each for themselves."""
    return case((patient_id == "", pk), else_=0)
