"""What the ledger of migrations holds, as values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from vna_core.domain.migration import InstanceState, StudyState


@dataclass(frozen=True, slots=True)
class ListedStudy:
    """A study as the source lists it. `instances` is what the source counts, -1 where it does not say."""

    study_instance_uid: str
    patient_id: str = ""
    issuer: str = ""
    study_date: str = ""
    study_time: str = ""
    modalities: str = ""
    accession_number: str = ""
    instances: int = -1
    described: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    referring_physician_name: str = ""
    study_id: str = ""
    study_description: str = ""

    @property
    def fingerprint(self) -> str:
        """Equal as long as the source describes the study in the same way, whatever the number of instances."""
        said = (self.patient_id, self.issuer, self.study_date, self.study_time, self.accession_number, self.described)
        return hashlib.sha256("\0".join(said).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class LedgerStudy:
    """One study of a campaign. `instances` counts those in the newest inventory."""

    pk: int
    campaign: str
    study_instance_uid: str
    patient_id: str
    issuer: str
    study_date: str
    modalities: str
    accession_number: str
    told_instances: int
    state: StudyState
    priority: int
    instances: int
    unknown_modalities: int


@dataclass(frozen=True, slots=True)
class LedgerInstance:
    """One instance of a study of a campaign."""

    pk: int
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    source_digest: str
    state: InstanceState
    outcome: str
    detail: str
    received_sha256: str
    received_size: int
    stored_sop_instance_uid: str
    quarantine_id: str
    tries: int
    proof: str


@dataclass(frozen=True, slots=True)
class InstanceEnd:
    """How one instance ended: `outcome` is that of the ingest, or empty where nothing arrived."""

    instance: LedgerInstance
    state: InstanceState
    outcome: str = ""
    detail: str = ""
    received_sha256: str = ""
    received_size: int = 0
    stored_sop_instance_uid: str = ""
    quarantine_id: str = ""
    rule: str = "fetch"


@dataclass(frozen=True, slots=True)
class Transition:
    """One entry of the ledger's history. `instance` is 0 for the study itself."""

    study: int
    instance: int
    old: str
    new: str
    at: datetime
    worker: str
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What an inventory of one study's instances found against the one before."""

    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class ExceptionEntry:
    """One entry of the worklist. `state` is ``open``, ``retried``, ``accepted`` or ``solved``."""

    pk: int
    study: int
    instance: int
    reason: str
    state: str
    detail: str
    sample: str
    times: int
    opened_at: datetime
    closed_by: str
    note: str
    study_instance_uid: str
    study_date: str
    modalities: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry did: exceptions (by key) whose studies are asked for again, those with nothing to be asked for, which stay open, and
    how many studies wait again."""

    asked: tuple[int, ...]
    left: tuple[int, ...]
    studies: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many studies or instances are in a state, with an outcome, and their octets as received."""

    level: str
    state: str
    outcome: str
    number: int
    octets: int
