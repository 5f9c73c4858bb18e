"""The cross-reference of issuer-qualified Patient IDs: a ledger of decisions, each explained, none ever removed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, insert, or_, select, update

from vna_core.catalogue import person_names
from vna_core.catalogue.clock import now
from vna_core.catalogue.corrections import Corrections
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import moment
from vna_core.catalogue.schema import patients, studies
from vna_core.catalogue.schema_identity import demographics, patient_links
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.corrections import Received
from vna_core.domain.errors import InvalidRequest, NotFound
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import Demographics, LinkKind, LinkOrigin, PatientLink, component, survivor

LARGEST_COMPONENT: Final = 1000
"""Most IDs of one person; more is a mistake, and nothing further is followed."""
_PIECE: Final = 100
_COLUMNS: Final = tuple(patient_links.columns)
_Into = dict[PatientKey, PatientKey | None]
"""An ID and what it went up in; None: in nothing."""
_IN_FORCE: Final = patient_links.c.undone_at == 0


class Identity:
    """Makes, undoes and follows decisions. Every method may be called from several threads and processes at once."""

    def __init__(self, database: Database, corrections: Corrections) -> None:
        self._database = database
        self._corrections = corrections

    def decide(
        self,
        kind: LinkKind,
        first: PatientKey,
        second: PatientKey,
        *,
        origin: LinkOrigin,
        reason: str,
        by: str,
        study: str = "",
        received: Received | None = None,
    ) -> PatientLink:
        """Put a decision in force durably; the same one that is in force already is answered instead of made again.

        Members of a federation that take merges and moves are told of new ones, `received` ones included (see `Corrections`).

        Raises
        ------
        InvalidRequest
            Both are the same ID, an ID is empty, or a merge would close a circle of merges.
        """
        made = self.decide_all(kind, [(first, second)], origin=origin, reason=reason, by=by, study=study, received=received)
        return made[0]

    def decide_all(
        self,
        kind: LinkKind,
        pairs: Sequence[tuple[PatientKey, PatientKey]],
        *,
        origin: LinkOrigin,
        reason: str,
        by: str,
        study: str = "",
        received: Received | None = None,
    ) -> list[PatientLink]:
        """All decisions of one kind that somebody says at once, as `decide`: all of them, or where one cannot be, none.

        What a message of patient administration said once is not said again by its repetition, even if somebody took it back.
        """
        if any(not first.patient_id or not second.patient_id or first == second for first, second in pairs):
            raise InvalidRequest("Two different Patient IDs are needed, each with its issuer.")
        told = {
            "kind": kind.value,
            "study_instance_uid": identifier(study),
            "origin": origin.value,
            "reason": to_stored(reason),
            "made_by": to_stored(by),
        }
        merges: _Into = {}
        with self._database.transaction() as session:
            return [self._decided(session, first, second, told, received, merges) for first, second in pairs]

    def _decided(
        self,
        session: Session,
        first: PatientKey,
        second: PatientKey,
        told: dict[str, Any],
        received: Received | None,
        merges: _Into,
    ) -> PatientLink:
        columns = patient_links.c
        same = [_is(first, "first"), _is(second, "second"), columns.kind == told["kind"]]
        same.append(columns.study_instance_uid == told["study_instance_uid"])
        known = _IN_FORCE
        if told["origin"] == LinkOrigin.ADT.value:
            known = or_(_IN_FORCE, and_(columns.origin == told["origin"], columns.reason == told["reason"]))
        row = session.run(select(*_COLUMNS).where(known, *same).order_by(~_IN_FORCE, columns.pk)).fetchone()
        if row is not None:
            return _link(row)
        if told["kind"] == LinkKind.MERGE.value:
            if self._end_of(session, second, merges) == first:
                raise InvalidRequest("The other ID went up in this one already: undo that merge first.")
            merges[first] = second
        values = {
            "first_issuer": identifier(first.issuer),
            "first_id": identifier(first.patient_id),
            "second_issuer": identifier(second.issuer),
            "second_id": identifier(second.patient_id),
            "made_at": now(),
        }
        session.run(insert(patient_links).values(**told, **values))
        row = session.run(select(*_COLUMNS).order_by(columns.pk.desc()).limit(1)).fetchone()
        self._corrections.decided_in(session, _link(row), received)
        return _link(row)

    def undo(self, link_id: int, *, by: str, reason: str, received: Received | None = None) -> PatientLink:
        """Take a decision back, whatever was decided since; one that was taken back already is answered as it is. Raises NotFound."""
        this = patient_links.c.pk == link_id
        with self._database.transaction() as session:
            values = {"undone_at": now(), "undone_by": to_stored(by), "undone_reason": to_stored(reason)}
            if session.run(update(patient_links).where(this, _IN_FORCE).values(**values)).rowcount:
                self._corrections.undone_in(session, f"link:{link_id}", reason, by, received)
            row = session.run(select(*_COLUMNS).where(this)).fetchone()
        if row is None:
            raise NotFound("There is no such decision: `vna patient list` shows them.", id=link_id)
        return _link(row)

    def listed(self, *, all_: bool = False, after: int = 0, limit: int = 1000) -> list[PatientLink]:
        """Decisions in force (or all) in the order they were made."""
        conditions = [patient_links.c.pk > after] + ([] if all_ else [_IN_FORCE])
        with self._database.session() as session:
            statement = select(*_COLUMNS).where(*conditions).order_by(patient_links.c.pk).limit(limit)
            return [_link(row) for row in session.run(statement).fetchall()]

    def history(self, key: PatientKey) -> list[PatientLink]:
        """Every decision that ever named an ID, undone ones included, oldest first."""
        with self._database.session() as session:
            named = or_(_is(key, "first"), _is(key, "second"))
            return [_link(row) for row in session.run(select(*_COLUMNS).where(named).order_by(patient_links.c.pk)).fetchall()]

    def same_person(self, key: PatientKey) -> frozenset[PatientKey]:
        """All IDs that mean the same person, this one included."""
        with self._database.session() as session:
            return component(key, self._around(session, [key]))

    def decisions(self, keys: Iterable[PatientKey]) -> list[PatientLink]:
        """Everything in force about some IDs: links and merges that connect them with others, directly or by others, and moves."""
        wanted = list(dict.fromkeys(keys))
        found: dict[int, PatientLink] = {}
        with self._database.session() as session:
            if not wanted or session.run(select(patient_links.c.pk).where(_IN_FORCE).limit(1)).fetchone() is None:
                return []
            for at in range(0, len(wanted), _PIECE):
                found |= {link.id: link for link in self._around(session, wanted[at : at + _PIECE])}
            found |= {link.id: link for link in self._moves(session, wanted)}
        return [found[pk] for pk in sorted(found)]

    def shown_as(self, keys: Iterable[PatientKey]) -> dict[PatientKey, PatientKey]:
        """The ID that is shown for each of several: the one its merges end in."""
        wanted = list(dict.fromkeys(keys))
        with self._database.session() as session:
            if (
                session.run(select(patient_links.c.pk).where(_IN_FORCE, patient_links.c.kind == "merge").limit(1)).fetchone()
                is None
            ):
                return {key: key for key in wanted}
            links = self._around(session, wanted)
        return {key: survivor(key, links) for key in wanted}

    def moved(self, uids: Sequence[str]) -> dict[tuple[str, PatientKey], PatientKey]:
        """Studies that are another's now: UID and patient they are filed under, to the patient they belong to; the latest counts."""
        wanted = [identifier(uid) for uid in uids]
        if not wanted:
            return {}
        statement = select(*_COLUMNS).where(
            _IN_FORCE, patient_links.c.kind == "move", patient_links.c.study_instance_uid.in_(wanted)
        )
        with self._database.session() as session:
            links = [_link(row) for row in session.run(statement.order_by(patient_links.c.pk)).fetchall()]
        return {(link.study_instance_uid, link.first): link.second for link in links}

    def rows_of(self, session: Session, keys: Iterable[PatientKey]) -> tuple[list[int], list[int], list[int]]:
        """Rows of patients; and of studies that moved to them, and away from them."""
        wanted = set(keys)
        found: list[int] = []
        for key in wanted:
            statement = select(patients.c.pk).where(
                patients.c.patient_id == identifier(key.patient_id), patients.c.issuer_of_patient_id == identifier(key.issuer)
            )
            found += [row[0] for row in session.run(statement).fetchall()]
        to: list[int] = []
        away: list[int] = []
        # The latest move of a study and owner counts; earlier ones of the same are passed over.
        latest: dict[tuple[str, PatientKey], PatientLink] = {}
        for link in self._moves(session, wanted):
            latest[link.study_instance_uid, link.first] = link
        for link in latest.values():
            rows = self._study_rows(session, link)
            if link.second in wanted:
                to += rows
            else:
                away += rows
        return sorted(found), sorted(to), sorted(set(away) - set(to))

    def keys_with_id(self, session: Session, patient_id: str, issuer: str | None) -> list[PatientKey]:
        """Every issuer-qualified ID with a bare ID that is held or named by a decision."""
        bare = identifier(patient_id)
        held = select(patients.c.issuer_of_patient_id).where(patients.c.patient_id == bare)
        sides = [
            select(patient_links.c[f"{side}_issuer"]).where(patient_links.c[f"{side}_id"] == bare, _IN_FORCE)
            for side in ("first", "second")
        ]
        issuers = {from_stored(row[0]) for one in (held, *sides) for row in session.run(one.distinct()).fetchall()}
        return [PatientKey(one, patient_id) for one in sorted(issuers) if issuer is None or one == issuer]

    def with_ids(self, ids: Iterable[str], issuers: Collection[str], otherwise: Collection[str]) -> frozenset[PatientKey]:
        """All IDs that mean the same person as one of these bare IDs of these issuers; of any issuer known, and of those that
        `otherwise` names, where none is given."""
        with self._database.session() as session:
            keys = {key for one in ids for key in self.keys_with_id(session, one, None) if not issuers or key.issuer in issuers}
            keys |= {PatientKey(issuer, one) for one in ids for issuer in (issuers or otherwise)}
            links = self._around(session, list(keys))
        return frozenset[PatientKey]().union(*(component(key, links) for key in keys))

    def around(self, session: Session, keys: Sequence[PatientKey]) -> list[PatientLink]:
        """Links and merges in force that connect these IDs, directly or by others."""
        return self._around(session, keys)

    # -- demographics ------------------------------------------------------------------------------------------------------

    def save_demographics(self, said: Demographics) -> None:
        """Keep what patient administration says about an ID, durably."""
        key = {"issuer": identifier(said.patient.issuer), "patient_id": identifier(said.patient.patient_id)}
        values = {
            "name": to_stored(said.name),
            "birth_date": to_stored(said.birth_date),
            "sex": to_stored(said.sex),
            "source": to_stored(said.source),
            "updated_at": now(),
        }
        this = (demographics.c.issuer == key["issuer"]) & (demographics.c.patient_id == key["patient_id"])
        with self._database.transaction() as session:
            if not session.run(update(demographics).where(this).values(**values)).rowcount:
                session.run(insert(demographics).values(**key, **values))

    def demographics(self, key: PatientKey) -> Demographics | None:
        """What is known about an ID: from patient administration, else from its images."""
        of_feed = select(demographics.c.name, demographics.c.birth_date, demographics.c.sex, demographics.c.source).where(
            demographics.c.issuer == identifier(key.issuer), demographics.c.patient_id == identifier(key.patient_id)
        )
        of_images = select(patients.c.patient_name, patients.c.patient_birth_date, patients.c.patient_sex).where(
            patients.c.issuer_of_patient_id == identifier(key.issuer), patients.c.patient_id == identifier(key.patient_id)
        )
        with self._database.session() as session:
            row = session.run(of_feed).fetchone() or session.run(of_images.limit(1)).fetchone()
        if row is None:
            return None
        name, birth_date, sex, source = (from_stored(text) for text in (*row, "")[:4])
        return Demographics(key, name, birth_date, sex, source)

    def differing(self, first: PatientKey, second: PatientKey, fields: Sequence[str]) -> tuple[str, ...]:
        """Those of some `fields` (as in `alike`) in which two IDs differ by what is known of them now; none where nothing is known of one."""
        one, other = self.demographics(first), self.demographics(second)
        if one is None or other is None:
            return ()
        return tuple(name for name in fields if _comparable(one, name) != _comparable(other, name))

    def alike(self, said: Demographics, fields: Sequence[str]) -> list[PatientKey]:
        """IDs of other issuers whose demographics are equal in all `fields` (``name``, ``birth-date``, ``sex``); none where one is empty."""
        if not fields or not all(_comparable(said, name) for name in fields):
            return []
        candidates: dict[PatientKey, Demographics] = {}
        for table, names in (
            (patients, ("issuer_of_patient_id", "patient_id", "patient_name", "patient_birth_date", "patient_sex")),
            (demographics, ("issuer", "patient_id", "name", "birth_date", "sex")),
        ):
            conditions: list[ColumnElement[bool]] = [
                table.c[names[0]] != identifier(said.patient.issuer),
                table.c[names[1]] != "",
            ]
            if "birth-date" in fields:
                conditions.append(table.c[names[3]] == to_stored(said.birth_date))
            if "sex" in fields:
                conditions.append(table.c[names[4]] == to_stored(said.sex))
            with self._database.session() as session:
                rows = session.run(select(*(table.c[name] for name in names)).where(*conditions)).fetchall()
            for row in rows:
                issuer, patient_id, name, birth_date, sex = (from_stored(text) for text in row)
                key = PatientKey(issuer, patient_id)
                candidates[key] = Demographics(key, name, birth_date, sex)
        return [
            key
            for key, other in sorted(candidates.items(), key=lambda one: (one[0].issuer, one[0].patient_id))
            if all(_comparable(said, name) == _comparable(other, name) for name in fields)
        ]

    # -- how decisions hang together ---------------------------------------------------------------------------------------

    def _around(self, session: Session, keys: Sequence[PatientKey]) -> list[PatientLink]:
        known: dict[int, PatientLink] = {}
        seen: set[PatientKey] = set()
        waiting = list(keys)
        while waiting and len(seen) < LARGEST_COMPONENT:
            piece, waiting = waiting[:_PIECE], waiting[_PIECE:]
            seen |= set(piece)
            named = or_(*(_is(key, side) for key in piece for side in ("first", "second")))
            rows = session.run(select(*_COLUMNS).where(_IN_FORCE, patient_links.c.kind != "move", named)).fetchall()
            for link in map(_link, rows):
                known[link.id] = link
                waiting += [key for key in (link.first, link.second) if key not in seen and key not in waiting]
        return [known[pk] for pk in sorted(known)]

    def _end_of(self, session: Session, key: PatientKey, merges: _Into) -> PatientKey:
        """Where the merges of an ID end, as `survivor` says. `merges` is what was read or made before in the transaction."""
        passed = {key}
        while True:
            if key not in merges:
                latest = select(*_COLUMNS).where(_IN_FORCE, patient_links.c.kind == "merge", _is(key, "first"))
                row = session.run(latest.order_by(patient_links.c.pk.desc()).limit(1)).fetchone()
                merges[key] = None if row is None else _link(row).second
            into = merges[key]
            if into is None or into in passed:
                return key
            passed.add(into)
            key = into

    def _moves(self, session: Session, keys: Iterable[PatientKey]) -> list[PatientLink]:
        """Moves in force that name one of these IDs, and those by which the same studies went elsewhere later; the latest counts."""
        wanted, moves = list(dict.fromkeys(keys)), select(*_COLUMNS).where(_IN_FORCE, patient_links.c.kind == "move")
        found = dict[int, PatientLink]()
        for at in range(0, len(wanted), _PIECE):
            named = or_(*(_is(key, side) for key in wanted[at : at + _PIECE] for side in ("first", "second")))
            found |= {link.id: link for link in map(_link, session.run(moves.where(named)).fetchall())}
        filed = {(link.study_instance_uid, link.first) for link in found.values()}
        uids = sorted({identifier(uid) for uid, _ in filed})
        for at in range(0, len(uids), _PIECE):
            of_study = patient_links.c.study_instance_uid.in_(uids[at : at + _PIECE])
            also = map(_link, session.run(moves.where(of_study)).fetchall())
            found |= {link.id: link for link in also if (link.study_instance_uid, link.first) in filed}
        return [found[pk] for pk in sorted(found)]

    def _study_rows(self, session: Session, link: PatientLink) -> list[int]:
        filed = (patients.c.patient_id == identifier(link.first.patient_id)) & (
            patients.c.issuer_of_patient_id == identifier(link.first.issuer)
        )
        statement = (
            select(studies.c.pk)
            .join(patients, patients.c.pk == studies.c.patient_fk)
            .where(studies.c.study_instance_uid == identifier(link.study_instance_uid), filed)
        )
        return [row[0] for row in session.run(statement).fetchall()]


def _is(key: PatientKey, side: str) -> ColumnElement[bool]:
    return and_(
        patient_links.c[f"{side}_id"] == identifier(key.patient_id), patient_links.c[f"{side}_issuer"] == identifier(key.issuer)
    )


def _comparable(said: Demographics, field: str) -> Any:
    if field == "name":
        return tuple(person_names.fold(group).rstrip("^ ") for group in said.name.split("=")[:1] if group.strip(" ^"))
    return said.birth_date.strip() if field == "birth-date" else said.sex.strip()


def _link(row: Any) -> PatientLink:
    pk, kind, first_issuer, first_id, second_issuer, second_id, study, origin, reason, by, at, undone_by, undone_at, why = row
    return PatientLink(
        id=pk,
        kind=LinkKind(kind),
        first=PatientKey(from_stored(first_issuer), from_stored(first_id)),
        second=PatientKey(from_stored(second_issuer), from_stored(second_id)),
        study_instance_uid=from_stored(study),
        origin=LinkOrigin(origin),
        reason=from_stored(reason),
        made_by=from_stored(by),
        made_at=moment(at),
        undone_by=from_stored(undone_by),
        undone_at=moment(undone_at) if undone_at else None,
        undone_reason=from_stored(why),
    )
