"""Patients of a federation: those whose studies members hold, as few archives answer questions at the level of patients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from vna_core.domain.identifiers import PatientKey
from vna_core.domain.numbers import whole_number
from vna_core.domain.query import Level
from vna_core.federation.rows import COUNTS, PATIENT_ID, Row, significant, text, texts
from vna_core.federation.union import FederatedRow

_PATIENT_GROUP: Final = "0010"
_BELOW: Final = ("00201206", "00201208")


def patients_of(studies: Iterable[FederatedRow]) -> list[FederatedRow]:
    """One row for each patient that studies are shown under, by ID and issuer; numbers are those of the studies.

    Values of the patient come from the newest study that tells them. The patient's studies that tell others, filed under the same ID, disagree.
    """
    grouped: dict[PatientKey, list[FederatedRow]] = {}
    for study in studies:
        grouped.setdefault(study.patient, []).append(study)
    return [_patient(grouped[key]) for key in sorted(grouped, key=lambda key: (key.patient_id, key.issuer)) if key.patient_id]


def _patient(studies: list[FederatedRow]) -> FederatedRow:
    first = studies[0]
    attributes: dict[str, Any] = {}
    copies: dict[str, Row] = {}
    for study in studies:
        for tag, element in study.attributes.items():
            if tag.startswith(_PATIENT_GROUP) and not texts(attributes, tag):
                attributes[tag] = element
        for name, copy in study.copies.items():
            copies.setdefault(name, copy)
    made = FederatedRow(
        first.patient,
        attributes,
        tuple(dict.fromkeys(filed for study in studies for filed in study.filed)),
        tuple({link.id: link for study in studies for link in study.decisions}.values()),
        copies,
        {tag for study in studies for tag in _differing(attributes, first, study)},
        all(study.counts_are_union for study in studies),
    )
    _count(made, studies)
    return made


def _differing(shown: dict[str, Any], first: FederatedRow, study: FederatedRow) -> Iterator[str]:
    """Tags of the patient in which copies of a study differ, or the study from what is shown."""
    yield from (tag for tag in study.disagreements if tag.startswith(_PATIENT_GROUP) and tag != PATIENT_ID)
    if study.filed == first.filed:
        told = (tag for tag in study.attributes if tag.startswith(_PATIENT_GROUP) and texts(study.attributes, tag))
        yield from (tag for tag in told if significant(shown, tag) != significant(study.attributes, tag))


def _count(made: FederatedRow, studies: list[FederatedRow]) -> None:
    """Studies, series and instances; what one study does not tell is not told of all."""
    numbers: list[int | None] = [len(studies)]
    for tag in _BELOW:
        told = [whole_number(text(study.attributes, tag)) for study in studies]
        known = [one for one in told if one is not None]
        numbers.append(sum(known) if len(known) == len(told) else None)
    for tag, number in zip(COUNTS[Level.PATIENT], numbers, strict=True):
        if number is not None:
            made.attributes[tag] = {"vr": "IS", "Value": [number]}
