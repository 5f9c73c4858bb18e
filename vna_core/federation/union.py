"""The union of what members answer: one row for each study, series or instance, wherever it is held.

Rows are one when their UIDs are, and when the patients they name are the same or decided to be one person. The same UID with other content stays one row
that says in what its copies disagree; the same UID under patients that nobody has linked stays several rows, each saying so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import PatientLink
from vna_core.domain.numbers import whole_number
from vna_core.domain.query import Level
from vna_core.federation.identity import Decided
from vna_core.federation.members import Member
from vna_core.federation.rows import (
    ABOUT_THE_COPY,
    AVAILABILITY,
    COUNTS,
    ISSUER,
    MODALITIES,
    PATIENT_ID,
    RETRIEVE_URL,
    SOP_CLASSES,
    Row,
    patient_of,
    significant,
    text,
    texts,
    uids,
)

_Copies = dict[str, tuple[PatientKey, Row]]
"""Member name to the row that it gave, and the patient it is filed under."""

_AVAILABILITIES: Final = ("ONLINE", "NEARLINE", "OFFLINE", "UNAVAILABLE")
_ONLINE: Final = {"vr": "CS", "Value": [_AVAILABILITIES[0]]}
_PATIENT_GROUP: Final = "0010"


@dataclass(slots=True)
class FederatedRow:
    """One row of a federated answer.

    Attributes
    ----------
    attributes
        DICOM JSON: of the preferred copy, completed by the others.
    patient
        To whom it belongs, by the decisions in force.
    filed
        The IDs under which the copies are filed, in the order of preference.
    decisions
        Links, merges and moves because of which it is answered, united, or shown under another ID than it is filed under.
    copies
        Member names with the row that each gave, in the order of preference.
    disagreements
        Tags in which copies differ.
    counts_are_union
        Whether the numbers of what is below are those of the union; else they are the largest that a member told.
    """

    patient: PatientKey
    attributes: dict[str, Any]
    filed: tuple[PatientKey, ...] = ()
    decisions: tuple[PatientLink, ...] = ()
    copies: dict[str, Row] = field(default_factory=dict)
    disagreements: set[str] = field(default_factory=set)
    counts_are_union: bool = True

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the members that hold it."""
        return tuple(self.copies)


class Union:
    """Takes rows of members and makes one answer of them."""

    def __init__(self, level: Level, rank: Callable[[str], int]) -> None:
        self._level = level
        self._rank = rank
        self._rows: dict[tuple[str, ...], dict[PatientKey, _Copies]] = {}

    @property
    def patients(self) -> set[PatientKey]:
        """The IDs that rows are filed under."""
        return {patient for patients in self._rows.values() for patient in patients}

    def add(self, member: Member, row: Row) -> None:
        """Take one row over; one without the unique keys of its level says nothing and is passed over."""
        key = uids(row, self._level)
        patient = patient_of(row, member.settings.issuer)
        if not all(key):
            return
        self._rows.setdefault(key, {}).setdefault(patient, {}).setdefault(member.name, (patient, row))

    def rows(self, decided: Decided | None = None) -> Iterator[FederatedRow]:
        """Every row once. Called when nothing more is added; `decided` says which of the IDs mean one person."""
        decided = decided or Decided()
        for key, filed in self._rows.items():
            patients: dict[PatientKey, _Copies] = {}
            for patient, copies in filed.items():
                owner = decided.owner(key[0], patient)
                known = patients.setdefault(decided.canonical(owner), {})
                for name, copy in copies.items():
                    known.setdefault(name, copy)
            merged = [self._merged(copies) for copies in _attached(patients)]
            for one in merged:
                if len(merged) > 1:
                    one.disagreements.add(PATIENT_ID)
                yield one

    def _merged(self, copies: dict[str, tuple[PatientKey, Row]]) -> FederatedRow:
        if len(copies) == 1:
            return self._alone(copies)
        ordered = sorted(copies, key=self._rank)
        patient, first = copies[ordered[0]]
        filed = tuple(dict.fromkeys(copies[name][0] for name in ordered))
        made = FederatedRow(patient, dict(first), filed, copies={name: copies[name][1] for name in ordered})
        for name in ordered[1:]:
            self._complete(made, copies[name][1], copies[name][0] == patient)
        _name_issuer(made)
        for tag in (MODALITIES, SOP_CLASSES):
            together = sorted({value for row in made.copies.values() for value in texts(row, tag)})
            if together:
                made.attributes[tag] = {"vr": "CS" if tag == MODALITIES else "UI", "Value": together}
        made.attributes.pop(RETRIEVE_URL, None)
        self._count(made)
        made.counts_are_union = False
        told = {value for row in made.copies.values() for value in texts(row, AVAILABILITY)[:1]}
        best = next((one for one in _AVAILABILITIES if one in told), "ONLINE")
        made.attributes[AVAILABILITY] = {"vr": "CS", "Value": [best]}
        return made

    @staticmethod
    def _alone(copies: dict[str, tuple[PatientKey, Row]]) -> FederatedRow:
        """What one member alone holds, as it says: numbers of one member are right, and there is nobody to differ."""
        ((name, (patient, row)),) = copies.items()
        made = FederatedRow(patient, dict(row), (patient,), copies={name: row})
        _name_issuer(made)
        made.attributes.pop(RETRIEVE_URL, None)
        if text(row, AVAILABILITY) not in _AVAILABILITIES:
            made.attributes[AVAILABILITY] = _ONLINE
        return made

    @staticmethod
    def _complete(made: FederatedRow, other: Row, same_id: bool) -> None:
        """Add what the preferred copy does not say, and note in what the other differs."""
        for tag, element in other.items():
            if tag in ABOUT_THE_COPY:
                continue
            if not texts(made.attributes, tag):
                made.attributes[tag] = element
            elif tag in (PATIENT_ID, ISSUER):
                continue  # linked IDs are the same person's
            elif not texts(other, tag) or significant(made.attributes, tag) == significant(other, tag):
                continue
            elif same_id or not tag.startswith(_PATIENT_GROUP):
                made.disagreements.add(tag)

    def _count(self, made: FederatedRow) -> None:
        """Of several numbers only the largest is known to be reached."""
        for tag in COUNTS[self._level]:
            numbers = (whole_number(value) for row in made.copies.values() for value in texts(row, tag)[:1])
            told = [one for one in numbers if one is not None]
            if told:
                made.attributes[tag] = {"vr": "IS", "Value": [max(told)]}


def _name_issuer(made: FederatedRow) -> None:
    """A row of a member whose IDs are of one issuer says so, also where the member does not."""
    if made.patient.issuer and not texts(made.attributes, ISSUER):
        made.attributes[ISSUER] = {"vr": "LO", "Value": [made.patient.issuer]}


def _attached(patients: dict[PatientKey, dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Copies by patient; those that name no issuer or no ID belong to the only patient who is named in full, if there is just one."""
    full = [key for key in patients if key.issuer and key.patient_id]
    if len(full) != 1:
        return list(patients.values())
    (only,) = full
    made: dict[str, Any] = dict(patients[only])
    apart: list[dict[str, Any]] = []
    for key, copies in sorted(patients.items(), key=lambda one: (one[0].issuer, one[0].patient_id)):
        if key == only:
            continue
        if key.patient_id in ("", only.patient_id) and not key.issuer and not made.keys() & copies.keys():
            made = {**copies, **made}
        else:
            apart.append(copies)
    return [made, *apart]
