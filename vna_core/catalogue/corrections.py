"""The ledger of corrections that travel: written in the transaction of the decision, with a job for each member that must know."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, func, insert, select, update

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import moment
from vna_core.catalogue.jobs import Jobs
from vna_core.catalogue.schema_federation import correction_deliveries, corrections
from vna_core.catalogue.stored_text import from_stored, to_stored
from vna_core.domain.corrections import SEND, Correction, CorrectionKind, Delivery, DeliveryState, Received
from vna_core.domain.errors import NotFound
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import LinkKind, PatientLink

_COLUMNS: Final = tuple(corrections.columns)
_DELIVERY: Final = tuple(correction_deliveries.c[name] for name in ("member", "state", "attempts", "error", "updated_at"))
_ERROR_LENGTH: Final = 500
_OPEN: Final = (DeliveryState.WAITING, DeliveryState.REFUSED, DeliveryState.NOT_TAKEN)


class Corrections:
    """Records corrections and who has applied them. Every method may be called from several threads and processes at once."""

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._database = database
        self._jobs = jobs
        self._members: Mapping[str, frozenset[CorrectionKind]] = {}

    def tell(self, members: Mapping[str, frozenset[CorrectionKind]]) -> None:
        """Who is told from now on: each member with the kinds of corrections that it takes."""
        self._members = dict(members)

    # -- recording, inside the transaction of the decision ----------------------------------------------------------------

    def decided_in(self, session: Session, link: PatientLink, received: Received | None = None) -> None:
        """A merge or a move came into force. Links stay at home: they are what one archive knows."""
        if link.kind is LinkKind.LINK:
            return
        content = {"first": _pair(link.first), "second": _pair(link.second), "study": link.study_instance_uid}
        kind = CorrectionKind(link.kind.value)
        self.record_in(session, kind, f"link:{link.id}", content, link.reason, link.made_by, received)

    def record_in(
        self,
        session: Session,
        kind: CorrectionKind,
        subject: str,
        content: Mapping[str, Any],
        reason: str,
        by: str,
        received: Received | None = None,
        undoes: str = "",
    ) -> None:
        """Record a correction, and ask for the jobs that tell the members. Without members it is recorded only if it came from one."""
        if not self._members and received is None:
            return
        if received is not None and self._known(session, received.id):
            return
        at = now()
        values = {
            "id": received.id if received is not None else new_id(),
            "kind": kind.value,
            "subject": to_stored(subject),
            "content": json.dumps(dict(content)),
            "reason": to_stored(reason),
            "made_by": to_stored(by),
            "made_at": at,
            "origin": to_stored(received.origin if received is not None else ""),
            "undoes": undoes,
        }
        session.run(insert(corrections).values(**values))
        (pk,) = session.run(select(corrections.c.pk).where(corrections.c.id == values["id"])).fetchone()
        for member, kinds in sorted(self._members.items()):
            state = DeliveryState.WAITING if kind in kinds else DeliveryState.NOT_TAKEN
            row = {"correction_fk": pk, "member": to_stored(member), "state": state.value, "updated_at": at}
            session.run(insert(correction_deliveries).values(**row))
            if state is DeliveryState.WAITING:
                self._jobs.add_in(session, SEND, member)

    def undone_in(self, session: Session, subject: str, reason: str, by: str, received: Received | None = None) -> None:
        """What a correction was about was taken back: that travels too, if the correction did."""
        row = self._first(session, subject)
        if row is not None:
            self.record_in(session, CorrectionKind(row[1]), "", {}, reason, by, received, undoes=row[0])

    def _first(self, session: Session, subject: str) -> Any:
        this = (corrections.c.subject == to_stored(subject)) & (corrections.c.undoes == "")
        statement = select(corrections.c.id, corrections.c.kind).where(this).order_by(corrections.c.pk.desc()).limit(1)
        return session.run(statement).fetchone()

    @staticmethod
    def _known(session: Session, correction_id: str) -> bool:
        return session.run(select(corrections.c.pk).where(corrections.c.id == correction_id)).fetchone() is not None

    # -- receiving --------------------------------------------------------------------------------------------------------

    def note(self, kind: CorrectionKind, received: Received, reason: str, by: str, undoes: str = "") -> None:
        """Remember a correction that changed nothing here, and pass it on."""
        with self._database.transaction() as session:
            self.record_in(session, kind, "", {}, reason, by, received, undoes)

    def find(self, correction_id: str) -> Correction | None:
        """A correction by the id that it has everywhere."""
        with self._database.session() as session:
            row = session.run(select(*_COLUMNS).where(corrections.c.id == correction_id)).fetchone()
        return None if row is None else _correction(row)

    # -- looking and telling ----------------------------------------------------------------------------------------------

    def listed(self, *, after: int = 0, limit: int = 100, member: str = "", waiting: bool = False) -> list[Correction]:
        """Corrections in their order; those that a member, or anybody (`waiting`), has not applied."""
        conditions: list[ColumnElement[bool]] = [corrections.c.pk > after]
        if member or waiting:
            delivered = [correction_deliveries.c.correction_fk == corrections.c.pk]
            delivered.append(correction_deliveries.c.state.in_([state.value for state in _OPEN]))
            if member:
                delivered.append(correction_deliveries.c.member == to_stored(member))
            conditions.append(select(correction_deliveries.c.member).where(*delivered).exists())
        statement = select(*_COLUMNS).where(*conditions).order_by(corrections.c.pk).limit(limit)
        with self._database.session() as session:
            return [_correction(row) for row in session.run(statement).fetchall()]

    def deliveries(self, found: Sequence[Correction]) -> dict[int, list[Delivery]]:
        """How far each member is with each of some corrections, by their numbers."""
        told: dict[int, list[Delivery]] = {one.number: [] for one in found}
        known = {one.number: one for one in found}
        numbers = list(known)
        with self._database.session() as session:
            for at in range(0, len(numbers), 300):
                wanted = correction_deliveries.c.correction_fk.in_(numbers[at : at + 300])
                statement = select(correction_deliveries.c.correction_fk, *_DELIVERY).where(wanted)
                for pk, *rest in session.run(statement.order_by(correction_deliveries.c.member)).fetchall():
                    told[pk].append(_delivery(known[pk], rest))
        return told

    def next_for(self, member: str, limit: int = 50) -> list[Delivery]:
        """What a member was not told yet, oldest first."""
        joined = corrections.join(correction_deliveries, correction_deliveries.c.correction_fk == corrections.c.pk)
        wanted = (correction_deliveries.c.member == to_stored(member)) & (
            correction_deliveries.c.state == DeliveryState.WAITING.value
        )
        statement = select(*_COLUMNS, *_DELIVERY).select_from(joined).where(wanted).order_by(corrections.c.pk).limit(limit)
        with self._database.session() as session:
            rows = session.run(statement).fetchall()
        return [_delivery(_correction(row[: len(_COLUMNS)]), row[len(_COLUMNS) :]) for row in rows]

    def ended(self, delivery: Delivery, state: DeliveryState, error: str = "") -> None:
        """Note how an attempt to tell a member ended."""
        this = (correction_deliveries.c.correction_fk == delivery.correction.number) & (
            correction_deliveries.c.member == to_stored(delivery.member)
        )
        values = {
            "state": state.value,
            "attempts": correction_deliveries.c.attempts + 1,
            "error": to_stored(error[:_ERROR_LENGTH]),
            "updated_at": now(),
        }
        with self._database.transaction() as session:
            session.run(update(correction_deliveries).where(this).values(**values))

    def retry(self, correction_id: str = "", member: str = "") -> int:
        """Have what was refused, or not taken, told once more; how many deliveries that are. Raises NotFound for an unknown id."""
        conditions: list[ColumnElement[bool]] = [correction_deliveries.c.state != DeliveryState.APPLIED.value]
        if member:
            conditions.append(correction_deliveries.c.member == to_stored(member))
        with self._database.transaction() as session:
            if correction_id:
                row = session.run(select(corrections.c.pk).where(corrections.c.id == correction_id)).fetchone()
                if row is None:
                    raise NotFound("There is no such correction: `vna corrections list` shows them.", id=correction_id)
                conditions.append(correction_deliveries.c.correction_fk == row[0])
            members = session.run(select(correction_deliveries.c.member).where(*conditions).distinct()).fetchall()
            values = {"state": DeliveryState.WAITING.value, "error": ""}
            changed = session.run(update(correction_deliveries).where(*conditions).values(**values)).rowcount
            for (name,) in members:
                self._jobs.add_in(session, SEND, from_stored(name))
        return int(changed)

    def counts(self) -> dict[tuple[str, str], int]:
        """How many deliveries to each member are in each state."""
        statement = select(correction_deliveries.c.member, correction_deliveries.c.state, func.count()).group_by(
            correction_deliveries.c.member, correction_deliveries.c.state
        )
        with self._database.session() as session:
            return {(from_stored(row[0]), row[1]): int(row[2]) for row in session.run(statement).fetchall()}


def new_id() -> str:
    """A UID that nobody else makes (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def _pair(key: PatientKey) -> list[str]:
    return [key.issuer, key.patient_id]


def _correction(row: Iterable[Any]) -> Correction:
    pk, correction_id, kind, subject, content, reason, by, at, origin, undoes = row
    return Correction(
        pk,
        correction_id,
        CorrectionKind(kind),
        from_stored(subject),
        json.loads(content),
        from_stored(reason),
        from_stored(by),
        moment(at),
        from_stored(origin),
        undoes,
    )


def _delivery(correction: Correction, row: Iterable[Any]) -> Delivery:
    member, state, attempts, error, at = row
    return Delivery(correction, from_stored(member), DeliveryState(state), int(attempts), from_stored(error), moment(at))
