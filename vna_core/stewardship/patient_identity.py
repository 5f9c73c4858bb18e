"""Decisions about Patient IDs, by hand, by rule or by patient administration: recorded in the audit trail before they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from vna_core.catalogue import Catalogue
from vna_core.domain.access import Principal
from vna_core.domain.audit import AuditEvent, AuditEventId, Auditor, StudyObject
from vna_core.domain.corrections import Received
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import Demographics, LinkKind, LinkOrigin, PatientLink
from vna_core.stewardship.links_in_doubt import basis_text, doubtful

_IN_ONE_RECORD: Final = 100
"""Patients of one record of the audit trail."""

_log = structlog.get_logger(__name__)


def parse_key(text: str) -> PatientKey:
    """``ID^^^ISSUER`` as HL7 writes a qualified ID; without ``^`` an ID without issuer. Raises InvalidRequest."""
    parts = text.split("^")
    if len(parts) not in (1, 4) or not parts[0]:
        raise InvalidRequest(f"{text!r}: a Patient ID is written ID^^^ISSUER, or ID where it has no issuer.")
    return PatientKey(parts[3] if len(parts) == 4 else "", parts[0])


def key_text(key: PatientKey) -> str:
    """The inverse of `parse_key`."""
    return f"{key.patient_id}^^^{key.issuer}" if key.issuer else key.patient_id


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """Makes decisions for one principal.

    Every method raises AuditUnavailable before anything is changed, InvalidRequest and CatalogueUnavailable.

    Attributes
    ----------
    match
        Demographics that must be equal and present for a rule to link: ``name``, ``birth-date``, ``sex``; empty: no rule.
    """

    catalogue: Catalogue
    auditor: Auditor
    principal: Principal
    match: tuple[str, ...] = ()

    def decide(
        self,
        kind: LinkKind,
        first: PatientKey,
        second: PatientKey,
        reason: str,
        origin: LinkOrigin,
        study: str = "",
        received: Received | None = None,
    ) -> PatientLink:
        """Put a link, merge or move in force; durable when it returns."""
        self._record(f"{kind.value}: {reason}", (first, second), study)
        by = self.principal.name
        return self.catalogue.identity.decide(
            kind, first, second, origin=origin, reason=reason, by=by, study=study, received=received
        )

    def merge_all(self, pairs: Sequence[tuple[PatientKey, PatientKey]], reason: str, origin: LinkOrigin) -> list[PatientLink]:
        """Put all merges of one statement in force, each as first into second, or none; durable when it returns."""
        self._record(f"{LinkKind.MERGE.value}: {reason}", tuple(dict.fromkeys(key for pair in pairs for key in pair)))
        by = self.principal.name
        return self.catalogue.identity.decide_all(LinkKind.MERGE, pairs, origin=origin, reason=reason, by=by)

    def undo(self, link_id: int, reason: str, received: Received | None = None) -> PatientLink:
        """Take a decision back. Raises NotFound."""
        self._record(f"undo {link_id}: {reason}", ())
        return self.catalogue.identity.undo(link_id, by=self.principal.name, reason=reason, received=received)

    def update(self, said: Sequence[Demographics], reason: str) -> list[PatientLink]:
        """Keep demographics of the IDs of one person, link these with each other, and with others by the rule."""
        self._record(reason, tuple(one.patient for one in said))
        identity = self.catalogue.identity
        for one in said:
            identity.save_demographics(one)
            for doubt in doubtful(self.catalogue, identity.history(one.patient)):
                _log.warning("patient-link-in-doubt", link=doubt.link.id, differs=list(doubt.differs))
        made = [
            self._link(said[0].patient, other.patient, LinkOrigin.ADT, f"{reason} names both IDs")
            for other in said[1:]
            if other.patient != said[0].patient
        ]
        return made + [link for one in said for link in self.match_one(one)]

    def match_one(self, said: Demographics) -> list[PatientLink]:
        """Link IDs of other issuers whose demographics are equal, where the rule demands enough."""
        alike = self.catalogue.identity.alike(said, self.match)
        if not alike:
            return []
        known = self.catalogue.identity.same_person(said.patient)
        reason = basis_text(self.match)
        undone = {
            frozenset((link.first, link.second))
            for link in self.catalogue.identity.history(said.patient)
            if link.kind is not LinkKind.MOVE and not link.in_force
        }  # somebody said that they are two: the rule does not say that they are one
        return [
            self._link(said.patient, other, LinkOrigin.RULE, reason)
            for other in alike
            if other not in known and frozenset((said.patient, other)) not in undone
        ]

    def _link(self, first: PatientKey, second: PatientKey, origin: LinkOrigin, reason: str) -> PatientLink:
        return self.decide(LinkKind.LINK, first, second, reason, origin)

    def _record(self, description: str, keys: Sequence[PatientKey], study: str = "") -> None:
        objects = [StudyObject(study, key.patient_id, key.issuer) for key in keys]
        for at in range(0, max(1, len(objects)), _IN_ONE_RECORD):
            piece = tuple(objects[at : at + _IN_ONE_RECORD])
            event = AuditEvent(AuditEventId.PATIENT_RECORD, self.principal, description=description, studies=piece)
            self.auditor.note_durably(event)
