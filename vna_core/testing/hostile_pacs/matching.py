"""How the source answers queries, apart from every reader of the archive."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping

from vna_core.testing.hostile_pacs.faults import FaultPlan
from vna_core.testing.hostile_pacs.injection_log import Injection, InjectionLog
from vna_core.testing.hostile_pacs.population import HostileInstance, HostileStudy, Population

Values = Mapping[int, tuple[str, ...]]
STUDY, SERIES, SOP, CLASS, DATE, PATIENT_ID = 0x0020000D, 0x0020000E, 0x00080018, 0x00080016, 0x00080020, 0x00100020
CLASSES_IN_STUDY = 0x00080062
_HIDDEN_UNLESS = (STUDY, PATIENT_ID)
"""Keys by which a study of W11 is found after all."""
_SEEN_IN_ANSWERS = frozenset(("W3", "W9", "W10", "W13", "W21", "W23", "H13"))
REFUSED, TOO_BROAD = 0xC001, 0xA700
"""Status of W22 (unable to process) and W24 (out of resources)."""
_YEARS = 100


def answers(
    population: Population, plan: FaultPlan, log: InjectionLog, level: str, keys: Values
) -> Iterator[dict[int, tuple[str, ...]]]:
    """Answers at a level, faults played."""
    given = 0
    if plan.of_source == "W25":
        log.add(Injection("W25", detail=f"no answer at level {level}"))
        return
    for answer, study in _matching(population, level, keys):
        if study.fault == "W11" and level in ("STUDY", "PATIENT") and not any(any(keys.get(tag, ())) for tag in _HIDDEN_UNLESS):
            log.add(Injection("W11", study.study_instance_uid, detail="left out of an answer"))
            continue
        for _ in range(3 if study.fault == "W3" and level == "STUDY" else 1):
            if plan.of_source == "W8" and given >= plan.cap:
                log.add(Injection("W8", detail=f"stopped after {given} answers"))
                return
            given += 1
            yield answer
        if study.fault in _SEEN_IN_ANSWERS and level == "STUDY":
            log.add(
                Injection(study.fault, study.study_instance_uid, detail=f"date {study.date!r}" if study.fault == "W9" else "")
            )


def refused(population: Population, plan: FaultPlan, log: InjectionLog, level: str, keys: Values) -> int:
    """Status with which a query is refused; 0: it is answered."""
    if plan.of_source == "W24" and level in ("STUDY", "PATIENT") and _is_broad(keys):
        log.add(Injection("W24", detail=f"refused: dates {next(iter(keys.get(DATE, ())), '')!r}"))
        return TOO_BROAD
    study = population.studies.get(next(iter(keys.get(STUDY, ())), ""))
    if study is None or study.fault != "W22" or level != "IMAGE":
        return 0
    log.add(Injection("W22", study.study_instance_uid, detail=f"{REFUSED:04X}"))
    return REFUSED


def _is_broad(keys: Values) -> bool:
    if any(any(keys.get(tag, ())) for tag in _HIDDEN_UNLESS):
        return False
    low, _, high = next(iter(keys.get(DATE, ())), "").partition("-")
    return not (low and high) or int(high[:4]) - int(low[:4]) >= _YEARS


def _matching(population: Population, level: str, keys: Values) -> Iterator[tuple[dict[int, tuple[str, ...]], HostileStudy]]:
    wanted_study = next(iter(keys.get(STUDY, ())), "")
    one = population.studies.get(wanted_study)
    studies = [one] if one is not None else list(population.studies.values())
    patients: set[str] = set()
    for study in studies:
        if level == "PATIENT":
            if study.patient_id in patients:
                continue
            patients.add(study.patient_id)
        for values in _rows(study, level):
            if all(_fulfils(values.get(tag, ("",)), asked) for tag, asked in keys.items() if tag in values and any(asked)):
                yield {tag: values.get(tag, ()) for tag in keys if tag in values}, study


def _rows(study: HostileStudy, level: str) -> Iterator[dict[int, tuple[str, ...]]]:
    patient: dict[int, tuple[str, ...]] = {0x00100010: (study.patient_name,), PATIENT_ID: (study.patient_id,)}
    if level == "PATIENT":
        yield patient
        return
    series = {one.series_instance_uid: one for one in study.instances}
    above = {**patient, STUDY: (study.study_instance_uid,), DATE: (study.date,), 0x00080050: (study.accession,)}
    modalities = tuple(sorted({_modality(one) for one in study.instances}))
    above |= {0x00080030: ("101500",), 0x00080061: modalities, 0x00201206: (str(len(series)),)}
    above |= {0x00201208: (str(len(study.instances) + (3 if study.fault == "H13" else 0)),)}
    if level == "STUDY":
        above |= {CLASSES_IN_STUDY: tuple(sorted({one.sop_class_uid for one in study.instances}))}
        above |= {STUDY: ("",)} if study.fault == "W23" else {}
        yield above
        if study.fault == "W21":
            yield {**above, 0x00100010: ("Other^Patient",), PATIENT_ID: (f"X{study.patient_id}",)}
    elif level == "SERIES":
        for uid, first in series.items():
            count = sum(one.series_instance_uid == uid for one in study.instances)
            yield {**above, SERIES: (uid,), 0x00080060: (_modality(first),), 0x00200011: ("1",), 0x00201209: (str(count),)}
    else:
        for number, one in enumerate(study.instances, 1):
            named = {SERIES: (one.series_instance_uid,), SOP: (one.sop_instance_uid,), CLASS: (one.sop_class_uid,)}
            yield {**above, **named, 0x00200013: (str(number),)}


def _modality(one: HostileInstance) -> str:
    return "PR" if one.fault == "W19" else "CT"


def _fulfils(values: tuple[str, ...], asked: tuple[str, ...]) -> bool:
    return any(_one(value, key) for value in values for key in asked)


def _one(value: str, key: str) -> bool:
    low, dash, high = key.partition("-")
    if dash and (low.isdigit() or high.isdigit()) and len(key) <= 17:
        return bool(value) and (not low or low <= value) and (not high or value <= high)
    if "*" in key or "?" in key:
        return fnmatch.fnmatchcase(value, key.replace("[", "[[]"))
    return value == key
