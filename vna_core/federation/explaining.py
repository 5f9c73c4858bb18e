"""Rows are shown as the decisions in force say, and tell by which of them they came."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import Demographics, PatientLink
from vna_core.federation.identity import CrossReference, Decided, Wanted
from vna_core.federation.rows import ISSUER, PATIENT_ID, STUDY, text
from vna_core.federation.union import FederatedRow

_NAME: Final = "00100010"
_BIRTH_DATE: Final = "00100030"
_SEX: Final = "00100040"


def explain(rows: Iterable[FederatedRow], wanted: Wanted, decided: Decided, reference: CrossReference) -> None:
    """Show merged patients and moved studies under the ID that stays, and list the decisions for each row."""
    if not decided.links and not decided.moves:
        return
    known: dict[PatientKey, Demographics | None] = {}
    for row in rows:
        study = text(row.attributes, STUDY)
        owner = decided.owner(study, row.patient)
        shown = decided.shown_as(owner)
        goal = wanted.named or frozenset((shown,))
        found: dict[int, PatientLink] = {}
        for filed in row.filed:
            move = decided.moves.get((study, filed))
            for link in ((move,) if move is not None else ()) + decided.why(decided.owner(study, filed), goal):
                found[link.id] = link
        for link in decided.why(owner, frozenset((shown,))):
            found[link.id] = link
        row.decisions = tuple(found[number] for number in sorted(found))
        if shown != row.patient:
            if shown not in known:
                known[shown] = reference.demographics(shown)
            _show(row, known[shown] or Demographics(shown, "", "", ""))


def _show(row: FederatedRow, shown: Demographics) -> None:
    row.patient = shown.patient
    told = {PATIENT_ID: shown.patient.patient_id, ISSUER: shown.patient.issuer, _BIRTH_DATE: shown.birth_date, _SEX: shown.sex}
    types = {PATIENT_ID: "LO", ISSUER: "LO", _BIRTH_DATE: "DA", _SEX: "CS"}
    for tag, value in told.items():
        row.attributes.pop(tag, None)
        if value:
            row.attributes[tag] = {"vr": types[tag], "Value": [value]}
    row.attributes.pop(_NAME, None)
    if shown.name:
        groups = zip(("Alphabetic", "Ideographic", "Phonetic"), shown.name.split("="), strict=False)
        row.attributes[_NAME] = {"vr": "PN", "Value": [{group: value for group, value in groups if value}]}
