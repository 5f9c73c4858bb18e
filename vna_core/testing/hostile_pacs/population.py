"""What the source holds: studies, series and instances as numbers; octets are made when they are asked for."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from vna_core.testing import phantom_writer as write
from vna_core.testing import phantoms
from vna_core.testing.hostile_pacs.faults import Face, FaultPlan, Target

_SIDE: Final = 8
"""Rows and columns of an image."""
PRESENTATION_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"
_BAD_DATES: Final = ("", "19000101", "00000000", "2026-13-45")


@dataclass(frozen=True, slots=True)
class HostileInstance:
    """One instance.

    Attributes
    ----------
    number
        Seed of its content.
    fault
        Kind of fault done to it, or empty.
    """

    number: int
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = phantoms.CT
    fault: str = ""


def as_file(sop_class_uid: str, sop_instance_uid: str, data_set: bytes) -> bytes:
    """A data set as a Part 10 file that says Explicit VR Little Endian."""
    return write.part10(write.file_meta(sop_class_uid, sop_instance_uid, write.EXPLICIT_LITTLE), data_set)


@dataclass(frozen=True, slots=True)
class HostileStudy:
    """One study as the source's database has it; its files may say otherwise.

    Attributes
    ----------
    filed
        Values that the files carry instead, by keyword.
    """

    study_instance_uid: str
    date: str
    patient_id: str
    patient_name: str
    accession: str
    instances: tuple[HostileInstance, ...]
    fault: str = ""
    filed: Mapping[str, str] = field(default_factory=dict)

    def data_set(self, one: HostileInstance) -> bytes:
        """The data set of an instance as the source stores it, in Explicit VR Little Endian."""
        named = {
            "SOPClassUID": one.sop_class_uid,
            "SOPInstanceUID": one.sop_instance_uid,
            "SeriesInstanceUID": one.series_instance_uid,
            "StudyInstanceUID": self.study_instance_uid,
            "StudyDate": self.date,
            "PatientID": self.patient_id,
            "PatientName": self.patient_name,
            "AccessionNumber": self.accession,
            **self.filed,
        }
        elements = phantoms.ct_elements(one.number, _SIDE, _SIDE, **named)
        if one.sop_class_uid == PRESENTATION_STATE:
            elements = [element for element in elements if element[0] >> 16 != 0x28] + [(0x00700080, "CS", "LATERALITY")]
            return write.data_set(sorted(elements, key=lambda element: element[0]))
        return write.data_set([*elements, (0x7FE00010, "OW", phantoms.pixels(one.number, _SIDE, _SIDE))])

    def digest(self, one: HostileInstance, face: Face = Face.DIMSE) -> str:
        """SHA-256 of what a face delivers when it does not lie: the data set, or over DICOMweb the file."""
        octets = self.data_set(one)
        return hashlib.sha256(
            octets if face is Face.DIMSE else as_file(one.sop_class_uid, one.sop_instance_uid, octets)
        ).hexdigest()


class Population:
    """Everything the source holds. The same plan, sizes and seed make the same.

    Parameters
    ----------
    studies
        Number of studies.
    most
        Most instances of one study.
    """

    def __init__(self, plan: FaultPlan, studies: int = 100, most: int = 20) -> None:
        dice = random.Random(f"{plan.seed}:population")
        sizes = [dice.randint(1, most) for _ in range(studies)]
        uids = [phantoms.uid(800, plan.seed, number + 1) for number in range(studies)]
        studies_hit = plan.assigned(Target.STUDY, uids)
        # An instance of a study that is hit already is left alone, so that every finding has one cause.
        calm = [f"{uid}.{1 + n}" for uid, size in zip(uids, sizes, strict=True) if uid not in studies_hit for n in range(size)]
        instances_hit = plan.assigned(Target.INSTANCE, calm)
        self.studies: dict[str, HostileStudy] = {}
        first_sop = ""
        for number, (uid, size) in enumerate(zip(uids, sizes, strict=True)):
            fault = studies_hit.get(uid, "")
            instances = self._instances(plan, number, uid, size, instances_hit, first_sop)
            first_sop = first_sop or (instances[0].sop_instance_uid if not fault and not instances[0].fault else "")
            study = self._study(number, uid, fault, instances)
            self.studies[study.study_instance_uid] = study

    def _instances(
        self, plan: FaultPlan, number: int, uid: str, size: int, hit: Mapping[str, str], other: str
    ) -> tuple[HostileInstance, ...]:
        made = []
        for index in range(size):
            name = f"{uid}.{index + 1}"
            fault = hit.get(name, "")
            if fault == "W2" and not other:
                fault = ""
            made.append(
                HostileInstance(
                    1 + plan.seed % 1000 * 1_000_000 + number * 1000 + index,
                    f"{uid}.900",
                    other if fault == "W2" else name,
                    phantoms.GE_PRIVATE_CLASS if fault == "W16" else phantoms.CT,
                    fault,
                )
            )
        return tuple(made)

    @staticmethod
    def _study(number: int, uid: str, fault: str, instances: tuple[HostileInstance, ...]) -> HostileStudy:
        date = f"{2005 + number % 20}{number % 12 + 1:02}{number % 28 + 1:02}"
        patient = (f"H{number // 2:06}", f"Hostile^Patient {number // 2}")
        accession, filed = f"A{number:06}", {}
        if fault == "W9":
            date = _BAD_DATES[number % len(_BAD_DATES)]
        elif fault == "W10":
            instances = ()
        elif fault == "W12":
            uid, filed = f"{uid}.12", {"StudyInstanceUID": uid}
        elif fault == "W13":
            filed = {"PatientID": f"OLD{number:04}", "PatientName": "Maiden^Name"}
        elif fault == "W18":
            filed = {"AccessionNumber": f"A{number + 500_000:06}"}
        elif fault == "W19":
            state = HostileInstance(instances[0].number, f"{uid}.901", f"{uid}.9019", PRESENTATION_STATE, "W19")
            instances = (*instances, state)
        return HostileStudy(uid, date, patient[0], patient[1], accession, instances, fault, filed)

    def truth(self) -> Iterator[tuple[HostileStudy, HostileInstance]]:
        """Every instance that is held."""
        for study in self.studies.values():
            for one in study.instances:
                yield study, one
