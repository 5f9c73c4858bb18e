"""Legal holds: the one place that decides whether something may be deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, insert, or_, select, update

from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import microseconds, moment
from vna_core.catalogue.follow_ups import FollowUps
from vna_core.catalogue.schema import patients, series, studies
from vna_core.catalogue.schema_stewardship import holds
from vna_core.catalogue.stored_text import from_stored, identifier
from vna_core.catalogue.stored_text import to_stored as stored
from vna_core.domain.errors import InvalidRequest, NotFound, UnderHold
from vna_core.domain.stewardship import DeletedVersion, Extent, Hold

_PIECE: Final = 300
_ABOVE: Final = series.join(studies, series.c.study_fk == studies.c.pk).join(patients, studies.c.patient_fk == patients.c.pk)


class Holds:
    """Sets, releases and asks for holds."""

    def __init__(self, database: Database, follow_ups: FollowUps) -> None:
        self._database = database
        self._follow_ups = follow_ups

    def set(self, hold: Hold) -> Hold:
        """Add a hold; the one that is there already for the same thing and reason. Idempotent by its id.

        Raises
        ------
        InvalidRequest
            Single instances are not held; hold their series.
        """
        if hold.level in (Extent.INSTANCE, Extent.VERSION):
            raise InvalidRequest("A hold is on a patient, a study or a series. Hold the series of the instance.")
        row = _row(hold)
        with self._database.transaction() as session:
            if session.run(select(holds.c.id).where(holds.c.id == hold.id)).fetchone() is None:
                session.run(insert(holds).values(**row))
            self._follow_ups.ask(session, _series_under(session, hold))
        return hold

    def take_up(self, hold: Hold) -> None:
        """Record a hold as the stores tell it; what is known already stays, but a release is taken over."""
        self.set(hold)
        if hold.released_at is not None:
            values = {"released_by": stored(hold.released_by), "released_at": microseconds(hold.released_at)}
            with self._database.transaction() as session:
                session.run(update(holds).where(holds.c.id == hold.id, holds.c.released_at == 0).values(**values))
        self.noted(hold.id)

    def release(self, hold_id: str, by: str, at: datetime) -> Hold:
        """End a hold. One that was released before stays as it is. Raises NotFound."""
        with self._database.transaction() as session:
            this = holds.c.id == stored(hold_id)
            found = [_hold(row) for row in session.run(select(*holds.c).where(this)).fetchall()]
            if not found:
                raise NotFound("There is no such hold.", hold=hold_id)
            if found[0].released_at is not None:
                return found[0]
            session.run(update(holds).where(this).values(released_by=stored(by), released_at=microseconds(at), noted=0))
            self._follow_ups.ask(session, _series_under(session, found[0]))
        return replace(found[0], released_by=by, released_at=at)

    def listed(self, *, everything: bool = False) -> list[Hold]:
        """Holds by the moment they were set; those that were released only when `everything` is asked for."""
        return self._found(*([] if everything else [holds.c.released_at == 0]))

    def covers(self, series_pk: int) -> bool:
        """Whether a hold is on a series, its study or its patient."""
        with self._database.session() as session:
            return covers_series(session, series_pk)

    def by_study(self) -> dict[str, tuple[Hold, ...]]:
        """Studies of which something is under a hold, by their UID, and the holds: on their patient, on them, or on a series in them.

        Costs as much as there are holds.
        """
        on_patient = (holds.c.identifier == patients.c.patient_id) & (holds.c.issuer == patients.c.issuer_of_patient_id)
        of_patient = holds.join(patients, on_patient).join(studies, studies.c.patient_fk == patients.c.pk)
        of_study = holds.join(studies, holds.c.identifier == studies.c.study_instance_uid)
        of_series = holds.join(series, holds.c.identifier == series.c.series_instance_uid).join(
            studies, series.c.study_fk == studies.c.pk
        )
        found: dict[str, dict[str, Hold]] = {}
        with self._database.session() as session:
            for level, joined in ((Extent.PATIENT, of_patient), (Extent.STUDY, of_study), (Extent.SERIES, of_series)):
                active = (holds.c.level == level.value) & (holds.c.released_at == 0)
                wanted = select(studies.c.study_instance_uid, *holds.c).select_from(joined).where(active).order_by(holds.c.id)
                for uid, *row in session.run(wanted).fetchall():
                    hold = _hold(row)
                    found.setdefault(from_stored(uid), {})[hold.id] = hold
        return {uid: tuple(of_uid.values()) for uid, of_uid in found.items()}

    def unnoted(self) -> list[Hold]:
        """Holds that the stores do not know of yet, or not in their present state."""
        return self._found(holds.c.noted == 0)

    def noted(self, hold_id: str) -> None:
        """Remember that the stores know."""
        with self._database.transaction() as session:
            session.run(update(holds).where(holds.c.id == hold_id).values(noted=1))

    def _found(self, *conditions: ColumnElement[bool]) -> list[Hold]:
        statement = select(*holds.c).where(*conditions).order_by(holds.c.set_at, holds.c.id)
        with self._database.session() as session:
            return [_hold(row) for row in session.run(statement).fetchall()]


def refuse_held(session: Session, versions: Iterable[DeletedVersion]) -> None:
    """Raise UnderHold when any of these is under a hold. To be called in the transaction that deletes."""
    wanted: dict[Extent, set[str]] = {Extent.PATIENT: set(), Extent.STUDY: set(), Extent.SERIES: set()}
    patients: set[tuple[str, str]] = set()
    for one in versions:
        wanted[Extent.PATIENT].add(one.patient_id)
        wanted[Extent.STUDY].add(one.study_instance_uid)
        wanted[Extent.SERIES].add(one.series_instance_uid)
        patients.add((one.issuer, one.patient_id))
    for level, identifiers in wanted.items():
        for hold in _active(session, level, sorted(identifiers)):
            if level is not Extent.PATIENT or (hold.issuer, hold.identifier) in patients:
                raise UnderHold(
                    f"Under hold {hold.id} ({hold.level.value}, set by {hold.set_by or 'unknown'} on {hold.set_at:%Y-%m-%d}): "
                    "nothing of it is deleted. Release it first with `vna hold release`.",
                    hold=hold.id,
                )


def covers_series(session: Session, series_pk: int) -> bool:
    """Whether a hold is on a series, its study or its patient."""
    names = (patients.c.patient_id, patients.c.issuer_of_patient_id, studies.c.study_instance_uid, series.c.series_instance_uid)
    row = session.run(select(*names).select_from(_ABOVE).where(series.c.pk == series_pk)).fetchone()
    if row is None:
        return False
    patient, issuer, study, of_study = map(from_stored, row)
    return (
        any(one.issuer == issuer for one in _active(session, Extent.PATIENT, [patient]))
        or bool(_active(session, Extent.STUDY, [study]))
        or bool(_active(session, Extent.SERIES, [of_study]))
    )


def _series_under(session: Session, hold: Hold) -> set[int]:
    """Series that are held of what a hold is on."""
    named = identifier(hold.identifier)
    wanted = {
        Extent.PATIENT: (patients.c.patient_id == named) & (patients.c.issuer_of_patient_id == identifier(hold.issuer)),
        Extent.STUDY: studies.c.study_instance_uid == named,
        Extent.SERIES: series.c.series_instance_uid == named,
    }[hold.level]
    return {int(row[0]) for row in session.run(select(series.c.pk).select_from(_ABOVE).where(wanted)).fetchall()}


def _active(session: Session, level: Extent, identifiers: Sequence[str]) -> list[Hold]:
    found: list[Any] = []
    for at in range(0, len(identifiers), _PIECE):
        named = or_(*(holds.c.identifier == identifier(one) for one in identifiers[at : at + _PIECE]))
        wanted = (holds.c.level == level.value) & (holds.c.released_at == 0) & named
        found += session.run(select(*holds.c).where(wanted).order_by(holds.c.id)).fetchall()
    return [_hold(row) for row in found]


def _row(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "level": hold.level.value,
        "issuer": identifier(hold.issuer),
        "identifier": identifier(hold.identifier),
        "reason": stored(hold.reason),
        "set_by": stored(hold.set_by),
        "set_at": microseconds(hold.set_at),
    }


def _hold(row: Any) -> Hold:
    hold_id, level, issuer, named, reason, set_by, set_at, released_by, released_at, _ = row
    return Hold(
        hold_id,
        Extent(level),
        from_stored(named),
        from_stored(issuer),
        from_stored(reason),
        from_stored(set_by),
        moment(set_at),
        from_stored(released_by),
        moment(released_at) if released_at else None,
    )
