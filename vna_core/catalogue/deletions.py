"""Deletions in two steps: hidden, then purged; or taken back. What was deleted stays known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select, update

from vna_core.catalogue.corrections import Corrections
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import microseconds, moment
from vna_core.catalogue.follow_ups import FollowUps
from vna_core.catalogue.hiding import NAMES, held_versions, named_versions, objects_of, passed_over, pieces, version_of
from vna_core.catalogue.holds import refuse_held
from vna_core.catalogue.rejections import list_in
from vna_core.catalogue.removing import remove_versions
from vna_core.catalogue.schema import series, studies
from vna_core.catalogue.schema_federation import rejections
from vna_core.catalogue.schema_stewardship import deleted_objects, deleted_versions, deletions
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.corrections import CorrectionKind, Received
from vna_core.domain.errors import InvalidRequest, NotFound
from vna_core.domain.stewardship import (
    DELETED,
    HIDDEN,
    PURGED,
    PURGING,
    UNDOING,
    UNDONE,
    DeletedObject,
    DeletedVersion,
    Deletion,
    Extent,
)

_NAMED: Final = {
    Extent.STUDY: deleted_versions.c.study_instance_uid,
    Extent.SERIES: deleted_versions.c.series_instance_uid,
    Extent.INSTANCE: deleted_versions.c.sop_instance_uid,
}


class Deletions:
    """The ledger of deletions. Each method that changes something is one durable transaction."""

    def __init__(self, database: Database, follow_ups: FollowUps, corrections: Corrections) -> None:
        self._database = database
        self._follow_ups = follow_ups
        self._corrections = corrections
        self._find = database.prepare(
            select(*_deletion_columns())
            .join(deleted_versions, deleted_versions.c.deletion == deletions.c.id)
            .where(
                deleted_versions.c.sop_instance_uid == bindparam("uid"),
                deleted_versions.c.original_sha256 == bindparam("original"),
                deletions.c.state != UNDOING,
                deletions.c.state != UNDONE,
            )
        )

    def hide(
        self,
        deletion: Deletion,
        *,
        only: Collection[str] | None = None,
        versions: Collection[int] = (),
        kind: CorrectionKind = CorrectionKind.DELETE,
        received: Received | None = None,
    ) -> Deletion:
        """Remove what the deletion names from everything that answers; it stays known here, with where its octets are.

        Parameters
        ----------
        only
            Of the study or series that it names, these SOP Instance UIDs alone.
        versions
            Keys of the versions that are set aside, where its level says so; members of a federation are not told.
        kind
            What members of a federation are told that it is.
        received
            Where it came from, if it was decided elsewhere.

        Raises
        ------
        NotFound
            Nothing is held under this UID.
        InvalidRequest
            Of an instance no version would be left, to nobody or to a department, or one that was to be set aside is not held any more.
        UnderHold
            Some of it is under a hold: nothing was deleted. What keeps its octets is not refused.
        """
        with self._database.transaction() as session:
            pks = (
                named_versions(session, deletion, only)
                if deletion.level is not Extent.VERSION
                else passed_over(session, versions)
            )
            away = held_versions(session, pks)
            if not deletion.keeps_octets:
                refuse_held(session, away)
            session.run(insert(deletions).values(**_row(deletion)))
            list_in(session, deletion)
            _list(session, deletion.id, away, objects_of(session, pks))
            if deletion.level is Extent.VERSION:
                self._follow_ups.ask(session, _series_of(session, deletion.id))
            else:
                told = {"code": deletion.rejection, "note": deletion.note}
                travels = CorrectionKind.REJECT if deletion.rejection else kind
                subject = _subject(deletion.id)
                self._corrections.record_in(session, travels, subject, told, deletion.reason, deletion.deleted_by, received)
            remove_versions(self._database, session, pks)
        return self.deletion(deletion.id)

    def take_up(self, deletion: Deletion, versions: Sequence[DeletedVersion], objects: Sequence[DeletedObject]) -> None:
        """Record a deletion as the stores tell it. One that is known already stays as it is."""
        with self._database.transaction() as session:
            known = session.run(select(deletions.c.state).where(deletions.c.id == deletion.id)).fetchone()
            if known is not None:
                return
            session.run(insert(deletions).values(**_row(deletion), noted=1))
            list_in(session, deletion)
            _list(session, deletion.id, versions, () if deletion.state == UNDONE else objects)

    def begin_undo(self, deletion_id: str, by: str, at: datetime, received: Received | None = None) -> Deletion:
        """Decide that a deletion is taken back. Raises NotFound, and InvalidRequest: it was purged, or what it set aside was rejected since."""
        with self._database.transaction() as session:
            found = _one(session, deletion_id)
            if found.state in (PURGING, PURGED):
                why = "was purged: its octets are gone" if found.state == PURGED else "is being purged, which is not taken back"
                raise InvalidRequest(f"Deletion {deletion_id} {why}.", deletion=deletion_id)
            if found.state == HIDDEN:
                if found.level is Extent.VERSION:
                    _refuse_rejected(session, deletion_id)
                _set(session, deletion_id, UNDOING, by, at)
                self._corrections.undone_in(session, _subject(deletion_id), "taken back", by, received)
        return self.deletion(deletion_id)

    def end_undo(self, deletion_id: str) -> None:
        """Everything is held again: forget where it was."""
        with self._database.transaction() as session:
            session.run(delete(deleted_objects).where(deleted_objects.c.deletion == deletion_id))
            session.run(update(deletions).where(deletions.c.id == deletion_id).values(state=UNDONE))
            self._follow_ups.ask(session, _series_of(session, deletion_id))

    def begin_purge(self, deletion_id: str, by: str, at: datetime) -> Deletion:
        """Decide that the octets of a deletion go; from here on there is no way back.

        Raises
        ------
        NotFound, InvalidRequest
            There is no such deletion, it was taken back, or it is one that keeps its octets.
        UnderHold
            Some of it is under a hold.
        """
        with self._database.transaction() as session:
            found = _one(session, deletion_id)
            if found.state in (UNDOING, UNDONE):
                raise InvalidRequest(f"Deletion {deletion_id} was taken back.", deletion=deletion_id)
            if found.keeps_octets:
                what = "is a rejection" if found.rejection else "set versions aside"
                raise InvalidRequest(f"{deletion_id} {what}: its octets are kept.", deletion=deletion_id)
            refuse_held(session, _deleted_versions(session, deletion_id))
            if found.state == HIDDEN:
                _set(session, deletion_id, PURGING, by, at)
        return self.deletion(deletion_id)

    def gone(self, where: DeletedObject) -> None:
        """An object of a purged deletion is no longer in its store."""
        this = (deleted_objects.c.key == to_stored(where.key)) & (deleted_objects.c.store == to_stored(where.store))
        with self._database.transaction() as session:
            session.run(delete(deleted_objects).where(this, deleted_objects.c.offset == where.offset))

    def end_purge(self, deletion_id: str) -> None:
        """Nothing is left of it but what is remembered."""
        with self._database.transaction() as session:
            session.run(update(deletions).where(deletions.c.id == deletion_id).values(state=PURGED))
            self._follow_ups.ask(session, _series_of(session, deletion_id))

    def left_over(self, deletion_id: str, where: DeletedObject) -> None:
        """An object of a purged deletion was found in a store after all: it is to be purged again."""
        with self._database.transaction() as session:
            there = (deleted_objects.c.key == to_stored(where.key)) & (deleted_objects.c.store == to_stored(where.store))
            if session.run(select(deleted_objects.c.key).where(there)).fetchone() is None:
                _list(session, deletion_id, (), (where,))
            wanted = (deletions.c.id == deletion_id) & (deletions.c.state == PURGED)
            session.run(update(deletions).where(wanted).values(state=PURGING))

    def deletion(self, deletion_id: str) -> Deletion:
        """One deletion. Raises NotFound."""
        with self._database.session() as session:
            return _one(session, deletion_id)

    def find(self, sop_instance_uid: str, original_sha256: str) -> Deletion | None:
        """The deletion that these octets fell under, unless it was taken back."""
        values = {"uid": identifier(sop_instance_uid), "original": original_sha256}
        with self._database.session() as session:
            row = session.execute(self._find.sql, self._find.arrange(values)).fetchone()
        return None if row is None else _deletion(row)

    def listed(self, *states: str, after: str = "", limit: int = 100) -> list[Deletion]:
        """Deletions in these states (all without any) by their ids, which sort by time."""
        wanted: list[ColumnElement[bool]] = [deletions.c.id > to_stored(after)]
        if states:
            wanted.append(deletions.c.state.in_(states))
        statement = select(*_deletion_columns()).where(*wanted).order_by(deletions.c.id).limit(limit)
        with self._database.session() as session:
            return [_deletion(row) for row in session.run(statement).fetchall()]

    def unnoted(self) -> list[Deletion]:
        """Deletions that the stores do not know of yet, or not in their present state."""
        with self._database.session() as session:
            statement = select(*_deletion_columns()).where(deletions.c.noted == 0).order_by(deletions.c.id)
            return [_deletion(row) for row in session.run(statement).fetchall()]

    def noted(self, deletion: Deletion) -> None:
        """Remember that the stores know of a deletion in the state it has here."""
        with self._database.transaction() as session:
            this = (deletions.c.id == deletion.id) & (deletions.c.state == deletion.state)
            session.run(update(deletions).where(this).values(noted=1))

    def staying(self, deletion: Deletion) -> list[Deletion]:
        """Rejections, and versions set aside, of what a deletion names: their octets stay when it is purged."""
        column = _NAMED[deletion.level]
        named = select(deleted_versions.c.deletion).where(column == identifier(deletion.uid))
        wanted = deletions.c.id.in_(named) & (deletions.c.state == HIDDEN) & (deletions.c.id != to_stored(deletion.id))
        statement = select(*_deletion_columns()).where(wanted).order_by(deletions.c.id)
        with self._database.session() as session:
            found = [_deletion(row) for row in session.run(statement).fetchall()]
        return [one for one in found if one.keeps_octets]

    def set_aside(self, study_instance_uid: str) -> frozenset[str]:
        """SHA-256 of the octets as received of versions of a study that are set aside, as another one of the instance stands."""
        versions = deleted_versions.c
        named = (versions.study_instance_uid == identifier(study_instance_uid)) & (deletions.c.level == Extent.VERSION.value)
        statement = select(versions.original_sha256).join(deletions, deletions.c.id == versions.deletion)
        with self._database.session() as session:
            rows = session.run(statement.where(named, deletions.c.state.not_in((UNDOING, UNDONE)))).fetchall()
        return frozenset(row[0] for row in rows)

    def versions(self, deletion_id: str) -> list[DeletedVersion]:
        """What was deleted."""
        with self._database.session() as session:
            return _deleted_versions(session, deletion_id)

    def remembers(self, sha256: Collection[str]) -> frozenset[str]:
        """Which of these objects were deleted, and not taken back: purged, or lying where `objects` says."""
        columns = deleted_versions.c
        wanted = select(columns.sha256).join(deletions, deletions.c.id == columns.deletion)
        found: set[str] = set()
        with self._database.session() as session:
            for piece in pieces(sorted(sha256)):
                named = wanted.where(columns.sha256.in_(piece), deletions.c.state.in_(DELETED))
                found |= {row[0] for row in session.run(named).fetchall()}
        return frozenset(found)

    def objects(self, deletion_id: str) -> list[DeletedObject]:
        """Where octets of a deletion lie that are not gone."""
        columns = (deleted_objects.c.store, deleted_objects.c.key, deleted_objects.c.offset, deleted_objects.c.length)
        statement = select(*columns).where(deleted_objects.c.deletion == deletion_id).order_by(deleted_objects.c.key, columns[0])
        with self._database.session() as session:
            rows = session.run(statement).fetchall()
        return [DeletedObject(from_stored(store), from_stored(key), offset, length) for store, key, offset, length in rows]

    def of_key(self, key: str, offset: int = 0) -> Deletion | None:
        """The deletion that an object under this key, at this offset, belongs to, in whichever store, unless it was taken back."""
        statement = (
            select(*_deletion_columns())
            .join(deleted_objects, deleted_objects.c.deletion == deletions.c.id)
            .where(deleted_objects.c.key == to_stored(key), deleted_objects.c.offset == offset, deletions.c.state.in_(DELETED))
            .limit(1)
        )
        with self._database.session() as session:
            row = session.run(statement).fetchone()
        return None if row is None else _deletion(row)


def _list(session: Session, deletion: str, versions: Sequence[DeletedVersion], objects: Sequence[DeletedObject]) -> None:
    for one in versions:
        values = {name: _stored(getattr(one, name)) for name in NAMES}
        session.run(insert(deleted_versions).values(deletion=deletion, **values))
    for where in objects:
        place = {"store": to_stored(where.store), "key": to_stored(where.key), "offset": where.offset, "length": where.length}
        session.run(insert(deleted_objects).values(deletion=deletion, **place))


def _stored(value: str | int) -> str | int:
    return identifier(value) if isinstance(value, str) else value


def _deleted_versions(session: Session, deletion_id: str) -> list[DeletedVersion]:
    columns = [deleted_versions.c[name] for name in NAMES]
    wanted = deleted_versions.c.deletion == to_stored(deletion_id)
    ordered = select(*columns).where(wanted).order_by(deleted_versions.c.sop_instance_uid, deleted_versions.c.original_sha256)
    return [version_of(row) for row in session.run(ordered).fetchall()]


def _series_of(session: Session, deletion_id: str) -> set[int]:
    """What is held of the series that a deletion was about: its packs can go elsewhere now."""
    named = select(deleted_versions.c.study_instance_uid, deleted_versions.c.series_instance_uid).distinct()
    found: set[int] = set()
    for study, of_study in session.run(named.where(deleted_versions.c.deletion == deletion_id)).fetchall():
        wanted = select(series.c.pk).join(studies, studies.c.pk == series.c.study_fk)
        same = (studies.c.study_instance_uid == study) & (series.c.series_instance_uid == of_study)
        found |= {int(row[0]) for row in session.run(wanted.where(same)).fetchall()}
    return found


def _refuse_rejected(session: Session, deletion_id: str) -> None:
    """Raise InvalidRequest where an instance of a deletion is rejected by another one: no version of it is to be seen."""
    mine, other = deleted_versions.alias("mine"), deleted_versions.alias("other")
    same = (other.c.study_instance_uid == mine.c.study_instance_uid) & (other.c.sop_instance_uid == mine.c.sop_instance_uid)
    joined = mine.join(other, same).join(rejections, rejections.c.deletion == other.c.deletion)
    in_force = joined.join(deletions, (deletions.c.id == rejections.c.deletion) & (deletions.c.state == HIDDEN))
    row = session.run(select(deletions.c.id).select_from(in_force).where(mine.c.deletion == deletion_id).limit(1)).fetchone()
    if row is not None:
        message = f"An instance of which {deletion_id} set versions aside was rejected since: take back {row[0]} first."
        raise InvalidRequest(message, deletion=deletion_id, rejection=row[0])


def _deletion_columns() -> tuple[Any, ...]:
    of_this = deleted_versions.c.deletion == deletions.c.id
    counted = select(func.count()).select_from(deleted_versions).where(of_this).correlate(deletions).scalar_subquery()
    summed = select(func.coalesce(func.sum(deleted_versions.c.size), 0)).where(of_this).correlate(deletions).scalar_subquery()
    of_rejection = (rejections.c.deletion == deletions.c.id,)
    told = [
        func.coalesce(select(column).where(*of_rejection).correlate(deletions).scalar_subquery(), "")
        for column in (rejections.c.code, rejections.c.note)
    ]
    return (*(column for column in deletions.c if column.name != "noted"), counted, summed, *told)


def _one(session: Session, deletion_id: str) -> Deletion:
    row = session.run(select(*_deletion_columns()).where(deletions.c.id == to_stored(deletion_id))).fetchone()
    if row is None:
        raise NotFound("There is no such deletion.", deletion=deletion_id)
    return _deletion(row)


def _set(session: Session, deletion_id: str, state: str, by: str, at: datetime) -> None:
    values = {"state": state, "ended_by": to_stored(by), "ended_at": microseconds(at), "noted": 0}
    session.run(update(deletions).where(deletions.c.id == deletion_id).values(**values))


def _row(deletion: Deletion) -> dict[str, Any]:
    return {
        "id": deletion.id,
        "level": deletion.level.value,
        "uid": identifier(deletion.uid),
        "reason": to_stored(deletion.reason),
        "deleted_by": to_stored(deletion.deleted_by),
        "deleted_at": microseconds(deletion.deleted_at),
        "state": deletion.state,
        "ended_by": to_stored(deletion.ended_by),
        "ended_at": microseconds(deletion.ended_at) if deletion.ended_at else 0,
    }


def _deletion(row: Any) -> Deletion:
    deletion_id, level, uid, reason, deleted_by, deleted_at, state, ended_by, ended_at, versions, size, code, note = row
    return Deletion(
        deletion_id,
        Extent(level),
        from_stored(uid),
        from_stored(reason),
        from_stored(deleted_by),
        moment(deleted_at),
        state,
        from_stored(ended_by),
        moment(ended_at) if ended_at else None,
        int(versions),
        int(size),
        code,
        from_stored(note),
    )


def _subject(deletion_id: str) -> str:
    return f"deletion:{deletion_id}"
