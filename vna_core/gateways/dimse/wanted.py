"""What a C-MOVE or C-GET asks for, as instances that are held; and in which associations they are sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from vna_core.access.egress.profiles import EgressProfile
from vna_core.access.view import CatalogueView
from vna_core.dicom.network.identifier import Identifier
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.instance import HeldInstance
from vna_core.domain.query import Equals, Level, Query
from vna_core.gateways.dimse.sop_classes import EXPLICIT_LITTLE, IMPLICIT_LITTLE

_PATIENT_ID, _ISSUER = 0x00100020, 0x00100021
_STUDY, _SERIES, _SOP = 0x0020000D, 0x0020000E, 0x00080018
MOST_CONTEXTS: Final = 128
"""Presentation contexts of one association (PS3.8 9.3.2.2)."""


def wanted_instances(catalogue: CatalogueView, identifier: Identifier, level: Level) -> list[HeldInstance]:
    """Instances that the unique keys of a retrieve name (PS3.4 C.4.2.1.4). Raises InvalidRequest.

    A Patient ID that several issuers gave out is not answered without Issuer of Patient ID: it would hand over strangers' images.
    """
    unique = {Level.PATIENT: _PATIENT_ID, Level.STUDY: _STUDY, Level.SERIES: _SERIES, Level.IMAGE: _SOP}[level]
    uids = [value for value in identifier.values.get(unique, ()) if value]
    if not uids:
        raise InvalidRequest(f"The identifier has no unique key of level {level.value}.")
    if level is Level.PATIENT:
        return _of_patient(catalogue, uids[0], identifier.first(_ISSUER))
    study, series = identifier.first(_STUDY), identifier.first(_SERIES)
    if level is Level.IMAGE:
        found = list(catalogue.instances_by_uid_list(uids))
    elif level is Level.SERIES:
        found = [held for uid in uids for held in catalogue.instances(study=study or None, series=uid)]
    else:
        found = [held for uid in uids for held in catalogue.instances(study=uid)]
    patient = identifier.first(_PATIENT_ID)
    one_of_each = {(held.study_instance_uid, held.patient): held for held in found} if patient else {}
    belongs = {key: catalogue.is_of(held, patient) for key, held in one_of_each.items()}
    return [
        held
        for held in found
        if (not patient or belongs[held.study_instance_uid, held.patient])
        and (level is Level.STUDY or not study or held.study_instance_uid == study)
        and (level is not Level.IMAGE or not series or held.series_instance_uid == series)
    ]


def _of_patient(catalogue: CatalogueView, patient_id: str, issuer: str) -> list[HeldInstance]:
    conditions = (Equals(_PATIENT_ID, (patient_id,)), *((Equals(_ISSUER, (issuer,)),) if issuer else ()))
    patients = frozenset(match.patient for match in catalogue.search(Query(Level.PATIENT, conditions)).matches)
    if not catalogue.are_one_person(patients):
        raise InvalidRequest("Several issuers gave out this Patient ID: name the Issuer of Patient ID.")
    return [
        held
        for patient in sorted(patients, key=lambda one: (one.issuer, one.patient_id))
        for held in catalogue.instances(patient=patient)
    ]


Proposal = tuple[str, tuple[str, ...]]
"""Abstract syntax and the transfer syntaxes proposed for it."""
Proposals = dict[Proposal, None]


def groups(held: Sequence[HeldInstance], profile: EgressProfile | None) -> Iterator[tuple[list[HeldInstance], list[Proposal]]]:
    """Instances by associations of at most 128 contexts: one for each class and stored syntax, one to fall back on for a class.

    Where a profile names transfer syntaxes, there is one context for each class and each of them instead.
    """
    group: list[HeldInstance] = []
    exact: Proposals = {}
    classes: Proposals = {}
    for one in held:
        allowed = profile.transfer_syntaxes if profile is not None else ()
        named = dict.fromkeys(profile.sop_classes_of(one) if profile is not None else (one.sop_class_uid,))
        syntaxes = allowed or (one.transfer_syntax_uid,)
        pairs: Proposals = {(name, (syntax,)): None for name in named for syntax in syntaxes}
        fallbacks: Proposals = {} if allowed else {(name, (EXPLICIT_LITTLE, IMPLICIT_LITTLE)): None for name in named}
        more = len(pairs.keys() - exact.keys()) + len(fallbacks.keys() - classes.keys())
        if more and len(exact) + len(classes) + more > MOST_CONTEXTS:
            yield group, [*exact, *classes]
            group, exact, classes = [], {}, {}
        exact |= pairs
        classes |= fallbacks
        group.append(one)
    if group:
        yield group, [*exact, *classes]
