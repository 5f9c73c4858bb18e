"""Patients across issuers: a question about one is asked under every ID that links say is the same person's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from vna_core.configuration_federation import MemberSettings
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.query import Condition, Equals, Query

PATIENT_ID: Final = 0x00100020
ISSUER: Final = 0x00100021

Linked = Callable[[PatientKey], frozenset[PatientKey]]
"""All IDs of the person who has this one, itself among them."""


def alone(key: PatientKey) -> frozenset[PatientKey]:
    """Nobody is linked with anybody."""
    return frozenset((key,))


def named_patients(conditions: Sequence[Condition]) -> list[PatientKey] | None:
    """The issuer-qualified patients that a question names; None when it names none in that way."""
    ids = [one for one in conditions if isinstance(one, Equals) and one.tag == PATIENT_ID and any(one.values)]
    issuers = [one for one in conditions if isinstance(one, Equals) and one.tag == ISSUER and any(one.values)]
    if len(ids) != 1 or len(issuers) != 1:
        return None
    return [PatientKey(issuer, patient) for issuer in issuers[0].values for patient in ids[0].values if issuer and patient]


def for_member(query: Query, wanted: frozenset[PatientKey] | None, settings: MemberSettings, is_local: bool) -> tuple[Query, ...]:
    """The questions that a member is asked: one for each ID of its own issuer. None at all: it cannot hold what is asked for.

    A member without an issuer of its own may hold patients of any; it is asked by the bare IDs, and its answers are sorted out by
    the issuers that they name.
    """
    if wanted is None:
        return (query,)
    rest = tuple(one for one in query.conditions if one.tag not in (PATIENT_ID, ISSUER))
    if is_local:
        return tuple(
            replace(query, conditions=(*rest, Equals(PATIENT_ID, (key.patient_id,)), Equals(ISSUER, (key.issuer,))))
            for key in sorted(wanted, key=lambda key: (key.issuer, key.patient_id))
        )
    ids = sorted({key.patient_id for key in wanted if not settings.issuer or key.issuer == settings.issuer})
    return tuple(replace(query, conditions=(*rest, Equals(PATIENT_ID, (one,)))) for one in ids)
