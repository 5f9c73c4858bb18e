"""What the identifier of a C-MOVE or C-GET names (PS3.4 C.4.2.1.4)."""

from __future__ import annotations

from typing import Final

from vna_core.access.view import CatalogueView
from vna_core.dicom.network.identifier import Identifier
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.instance import HeldInstance
from vna_core.domain.query import Condition, Equals, Level, Query
from vna_core.migration.cutover import CutOver, Fetch, Wanted

_PATIENT_ID, _ISSUER = 0x00100020, 0x00100021
_STUDY, _SERIES, _SOP = 0x0020000D, 0x0020000E, 0x00080018
_WILD: Final = frozenset("*?")
_UNIQUE: Final = {Level.PATIENT: _PATIENT_ID, Level.STUDY: _STUDY, Level.SERIES: _SERIES, Level.IMAGE: _SOP}
_UNIQUES: Final = tuple(_UNIQUE.values())


def wanted_instances(catalogue: CatalogueView, identifier: Identifier, level: Level) -> list[HeldInstance]:
    """Instances that the unique keys of a retrieve name (PS3.4 C.4.2.1.4). Raises InvalidRequest.

    A Patient ID that several issuers gave out is not answered without Issuer of Patient ID: it would hand over strangers' images.
    A wild card is an ordinary character of a held identifier; where nothing has it, it was meant to match, which unique keys cannot.
    """
    found = _named_instances(catalogue, identifier, level)
    above = _UNIQUES[: _UNIQUES.index(_UNIQUE[level]) + 1]
    if not found and any(_WILD.intersection(value) for tag in above for value in identifier.values.get(tag, ())):
        raise InvalidRequest("A unique key of a retrieval has no wild card: name what is to be sent.")
    return found


def _named_instances(catalogue: CatalogueView, identifier: Identifier, level: Level) -> list[HeldInstance]:
    uids = [value for value in identifier.values.get(_UNIQUE[level], ()) if value]
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


def awaited(cutover: CutOver, catalogue: CatalogueView, identifier: Identifier, level: Level) -> list[Fetch]:
    """Have fetched what the identifier names and sources in cut-over still have; what is to be waited for. Raises LimitExceeded."""
    named = tuple(value for value in identifier.values.get(_UNIQUE[level], ()) if value)
    if not named or not cutover.is_active:
        return []
    study, series = identifier.first(_STUDY), identifier.first(_SERIES)
    studies = list(dict.fromkeys(named)) if level is Level.STUDY else [study] if study and level is not Level.PATIENT else []
    if not studies:
        issuer = identifier.first(_ISSUER)
        conditions: tuple[Condition, ...] = (Equals(_UNIQUE[level], named),)
        conditions += (Equals(_ISSUER, (issuer,)),) if level is Level.PATIENT and issuer else ()
        below = Level.STUDY if level is Level.PATIENT else level
        studies = cutover.named(catalogue.scope, below, conditions, catalogue.linked)
    cutover.check_number(studies)
    all_of = frozenset(named)
    of_series = all_of if level is Level.SERIES else frozenset({series} if series and level is Level.IMAGE else ())
    sops = all_of if level is Level.IMAGE else frozenset[str]()
    patient = "" if catalogue.linked or level is Level.PATIENT else identifier.first(_PATIENT_ID)
    return [fetch for uid in studies for fetch in cutover.begin(catalogue.scope, Wanted(uid, of_series, sops), patient)]
