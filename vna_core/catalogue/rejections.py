"""Rejections (IHE IOCM): which deletions are rejections, by which reason, and which instances are rejected before they arrived."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, CompoundSelect, bindparam, delete, insert, literal, select, union_all

from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.schema import instances
from vna_core.catalogue.schema_federation import awaited_rejections, corrections, rejections
from vna_core.catalogue.schema_stewardship import deleted_versions, deletions
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.corrections import AwaitedRejection, HiddenInstances
from vna_core.domain.stewardship import UNDOING, UNDONE, Deletion

_PIECE: Final = 500
"""Studies that are named in one statement."""


class Rejections:
    """Every method may be called from several threads and processes at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hidden = database.prepare(_hidden(lambda study: study == bindparam("study")))

    def of_note(self, note: str) -> list[str]:
        """Deletions that a rejection note brought about, taken back or not."""
        with self._database.session() as session:
            statement = select(rejections.c.deletion).where(rejections.c.note == identifier(note)).order_by(rejections.c.deletion)
            return [row[0] for row in session.run(statement).fetchall()]

    def hidden(self, study_instance_uid: str) -> HiddenInstances:
        """What is not given out of a study, whoever else has it: see `hidden_in`."""
        parameters = self._hidden.arrange({"study": identifier(study_instance_uid)})
        with self._database.session() as session:
            rows = session.execute(self._hidden.sql, parameters).fetchall()
        return _hidden_of(rows).get(identifier(study_instance_uid), HiddenInstances())

    def hidden_in(self, studies: Iterable[str]) -> dict[str, HiddenInstances]:
        """What is not given out of some studies, whoever else has it; only of studies that have any.

        They are what is rejected here, held before or not, and the notes that other archives were told this by: a rejection that was taken
        back here leaves its note where it was sent.
        """
        named = {identifier(study): study for study in studies}
        uids = list(named)
        found: dict[str, HiddenInstances] = {}
        with self._database.session() as session:
            for at in range(0, len(uids), _PIECE):
                piece = uids[at : at + _PIECE]
                rows = session.run(_hidden(lambda study, piece=piece: study.in_(piece))).fetchall()  # type: ignore[misc]
                found |= {named[study]: hidden for study, hidden in _hidden_of(rows).items()}
        return found

    def await_(self, awaited: Iterable[AwaitedRejection]) -> None:
        """Remember instances that are to be hidden when they arrive; what is remembered already stays."""
        with self._database.transaction() as session:
            for one in awaited:
                keys = {"sop_instance_uid": identifier(one.sop_instance_uid), "note": identifier(one.note)}
                columns = awaited_rejections.c
                this = (columns.sop_instance_uid == keys["sop_instance_uid"]) & (columns.note == keys["note"])
                if session.run(select(columns.code).where(this)).fetchone() is None:
                    values = {"study_instance_uid": identifier(one.study_instance_uid), "code": one.code}
                    told = to_stored(json.dumps(one.principal))
                    session.run(insert(awaited_rejections).values(**keys, **values, principal=told))

    def awaited(self, sop_instance_uid: str) -> list[AwaitedRejection]:
        """Rejections that wait for an instance."""
        columns = awaited_rejections.c
        wanted = (columns.note, columns.study_instance_uid, columns.sop_instance_uid, columns.code, columns.principal)
        statement = select(*wanted).where(columns.sop_instance_uid == identifier(sop_instance_uid))
        with self._database.session() as session:
            return [_awaited(row) for row in session.run(statement).fetchall()]

    def awaited_and_held(self, limit: int = 1000) -> list[AwaitedRejection]:
        """Rejections whose instance is held: it arrived unnoticed."""
        columns = awaited_rejections.c
        wanted = (columns.note, columns.study_instance_uid, columns.sop_instance_uid, columns.code, columns.principal)
        held = instances.c.sop_instance_uid == columns.sop_instance_uid
        statement = select(*wanted).select_from(awaited_rejections.join(instances, held)).distinct().limit(limit)
        with self._database.session() as session:
            return [_awaited(row) for row in session.run(statement).fetchall()]

    def awaited_of(self, note: str) -> list[AwaitedRejection]:
        """Instances that a note names and that have not arrived."""
        columns = awaited_rejections.c
        wanted = (columns.note, columns.study_instance_uid, columns.sop_instance_uid, columns.code, columns.principal)
        with self._database.session() as session:
            rows = session.run(select(*wanted).where(columns.note == identifier(note))).fetchall()
        return [_awaited(row) for row in rows]

    def any_awaited(self) -> bool:
        """Whether any instance is awaited."""
        with self._database.session() as session:
            return session.run(select(awaited_rejections.c.note).limit(1)).fetchone() is not None

    def arrived(self, note: str, sop_instance_uid: str = "") -> None:
        """An awaited instance is hidden; or, without one, nothing of this note is awaited any more."""
        this = awaited_rejections.c.note == identifier(note)
        if sop_instance_uid:
            this &= awaited_rejections.c.sop_instance_uid == identifier(sop_instance_uid)
        with self._database.transaction() as session:
            session.run(delete(awaited_rejections).where(this))


def _hidden(wanted: Callable[[ColumnElement[str]], ColumnElement[bool]]) -> CompoundSelect[Any]:
    """Study and SOP Instance UIDs: of what was rejected, of what is awaited (with who rejected it), and of notes that told others of a deletion.

    Parameters
    ----------
    wanted
        The condition on a column of Study Instance UIDs.
    """
    versions, awaited = deleted_versions.c, awaited_rejections.c
    rejected = (
        select(versions.study_instance_uid, versions.sop_instance_uid, literal(""))
        .join(rejections, rejections.c.deletion == versions.deletion)
        .join(deletions, deletions.c.id == versions.deletion)
        .where(wanted(versions.study_instance_uid), deletions.c.state != UNDOING, deletions.c.state != UNDONE)
    )
    notes = (
        select(versions.study_instance_uid, corrections.c.id, literal(""))
        .join(corrections, corrections.c.subject == literal("deletion:") + versions.deletion)
        .where(wanted(versions.study_instance_uid), corrections.c.origin == "", corrections.c.undoes == "")
        .distinct()
    )
    waiting = select(awaited.study_instance_uid, awaited.sop_instance_uid, awaited.principal).where(
        wanted(awaited.study_instance_uid)
    )
    return union_all(rejected, waiting, notes)


def _hidden_of(rows: Iterable[Sequence[str]]) -> dict[str, HiddenInstances]:
    """Rows of `_hidden` by study, as it is stored."""
    decided: dict[str, set[str]] = {}
    awaited: dict[str, dict[tuple[str, tuple[str, str, str]], None]] = {}
    for study, sop, principal in rows:
        if principal:
            awaited.setdefault(study, {})[from_stored(sop), _principal(principal)] = None
        else:
            decided.setdefault(study, set()).add(from_stored(sop))
    return {
        study: HiddenInstances(frozenset(decided.get(study, ())), tuple(awaited.get(study, ())))
        for study in decided.keys() | awaited.keys()
    }


def _principal(stored: str) -> tuple[str, str, str]:
    kind, name, address = json.loads(from_stored(stored))
    return kind, name, address


def list_in(session: Session, deletion: Deletion) -> None:
    """Remember inside a transaction that a deletion is a rejection, if it is one."""
    if deletion.rejection:
        session.run(insert(rejections).values(deletion=deletion.id, code=deletion.rejection, note=identifier(deletion.note)))


def _awaited(row: Any) -> AwaitedRejection:
    note, study, sop, code, principal = row
    return AwaitedRejection(from_stored(note), from_stored(study), from_stored(sop), code, _principal(principal))
