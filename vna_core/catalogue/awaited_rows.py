"""Matches that are not, or not wholly, held yet: rows of what a source in cut-over still has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vna_core.catalogue.answers import Match
from vna_core.catalogue.availability import NEARLINE
from vna_core.catalogue.schema_migration import migration_studies
from vna_core.catalogue.stored_text import from_stored
from vna_core.domain.class_modalities import modality_of_series
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import Demographics
from vna_core.domain.migration import StudyState, UnknownModalities
from vna_core.domain.query import Level

NAME, PATIENT_ID, ISSUER = 0x00100010, 0x00100020, 0x00100021
STUDY, SERIES, SOP, SOP_CLASS = 0x0020000D, 0x0020000E, 0x00080018, 0x00080016
MODALITY, MODALITIES = 0x00080060, 0x00080061

OF_PATIENT: Final[Mapping[int, str]] = {
    NAME: "patient_name",
    PATIENT_ID: "patient_id",
    ISSUER: "issuer",
    0x00100030: "patient_birth_date",
    0x00100040: "patient_sex",
}
OF_STUDY: Final[Mapping[int, str]] = {
    **OF_PATIENT,
    STUDY: "study_instance_uid",
    0x00080020: "study_date",
    0x00080030: "study_time",
    0x00080050: "accession_number",
    MODALITIES: "modalities",
    0x00080090: "referring_physician_name",
    0x00200010: "study_id",
    0x00081030: "study_description",
}
"""Attributes that an inventory keeps of a study, with the columns they are in."""

KNOWN: Final = frozenset((*OF_STUDY, SERIES, MODALITY, SOP, SOP_CLASS))
"""Attributes that an inventory knows; all others can only be matched on once the images are here."""

_COLUMNS: Final = (
    *("pk", "campaign", "state", "instances", "told_instances", "instances_inventory", "newest", "updated_at"),
    "unknown_modalities",
    *OF_STUDY.values(),
)
COLUMNS: Final = tuple(migration_studies.c[name] for name in _COLUMNS)


@dataclass(frozen=True, slots=True)
class AwaitedStudy:
    """One study of which something is still to be had at a source.

    Attributes
    ----------
    instances
        What the source lists, or counts where its instances were not asked for yet; -1 where that is not known.
    is_inventoried
        Its instances are known one by one.
    updated_at
        When its state changed last, in microseconds since 1970.
    attributes
        What the inventory keeps, by tag; absent where the source says nothing.
    unknown
        Of which attributes the inventory cannot say whether they are absent: a condition on one of these rules nothing out.
    """

    pk: int
    campaign: str
    state: StudyState
    instances: int
    is_inventoried: bool
    newest: str
    updated_at: int
    patient: PatientKey
    attributes: Mapping[int, tuple[str, ...]]
    unknown: frozenset[int] = frozenset()

    @property
    def study_instance_uid(self) -> str:
        """Its UID."""
        return self.attributes[STUDY][0]


@dataclass(frozen=True, slots=True)
class AwaitedInstance:
    """One instance that the source lists and the archive does not hold in its study. `detail`: why, where it was tried."""

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str = ""
    detail: str = ""


class AwaitedMatch(Match):
    """A match of which nothing is held."""

    __slots__ = ("_attributes", "_patient")

    def __init__(
        self, level: Level, study: AwaitedStudy, attributes: Mapping[int, tuple[str, ...]], key: tuple[Any, ...]
    ) -> None:
        told = {tag: values for tag, values in attributes.items() if any(values)}
        super().__init__(level, (-study.pk, *key, tuple(sorted(told.items()))), (), (study.newest, -study.pk))
        self._attributes, self._patient = told, study.patient

    @property
    def available(self) -> str:
        """See `Match.available`: fetched from the source when it is asked for."""
        return NEARLINE

    def told(self, tags: frozenset[int] | None) -> dict[int, tuple[str, ...]]:
        """See `Match.told`."""
        return {tag: values for tag, values in self._attributes.items() if tags is None or tag in tags}

    @property
    def patient(self) -> PatientKey:
        """See `Match.patient`."""
        return self._patient

    def told_as(self, shown: Demographics) -> AwaitedMatch:
        """The same as another patient's."""
        told = (shown.name, shown.patient.patient_id, shown.patient.issuer, shown.birth_date, shown.sex)
        self._attributes |= {tag: (value,) for tag, value in zip(OF_PATIENT, told, strict=True) if value}
        self.row = (*self.row, told)
        return self


class PartlyHeld(Match):
    """A held match of which more is still at a source: counts are of the union, and it is as available as what is missing."""

    __slots__ = ("_held", "_union")

    def __init__(self, held: Match, union: Mapping[int, tuple[str, ...]]) -> None:
        super().__init__(held.level, (*held.row, tuple(sorted(union.items()))), (), held.position)
        self._held, self._union = held, dict(union)

    @property
    def available(self) -> str:
        """See `Match.available`."""
        return NEARLINE

    def told(self, tags: frozenset[int] | None) -> dict[int, tuple[str, ...]]:
        """See `Match.told`."""
        return self._held.told(tags) | {tag: values for tag, values in self._union.items() if tags is None or tag in tags}

    @property
    def patient(self) -> PatientKey:
        """See `Match.patient`."""
        return self._held.patient


def study_of_row(row: Sequence[Any], issuers: Mapping[str, str]) -> AwaitedStudy:
    """A study out of a row of `COLUMNS`; `issuers` names each campaign's issuer of Patient IDs that carry none."""
    values: dict[str, Any] = {
        name: from_stored(value) if isinstance(value, str) else value for name, value in zip(_COLUMNS, row, strict=True)
    }
    campaign = values["campaign"]
    values["issuer"] = values["issuer"] or (issuers.get(campaign, "") if values["patient_id"] else "")
    attributes: dict[int, tuple[str, ...]] = {tag: (values[name],) for tag, name in OF_STUDY.items() if values[name]}
    unknown = frozenset((MODALITIES,)) if values["unknown_modalities"] >= UnknownModalities.OF_STUDY else frozenset[int]()
    if unknown:  # those of some series only are not those of the study
        attributes.pop(MODALITIES, None)
    elif MODALITIES in attributes:
        attributes[MODALITIES] = tuple(one for one in values["modalities"].split("\\") if one)
    known = values["instances_inventory"] > 0
    return AwaitedStudy(
        values["pk"],
        campaign,
        StudyState(values["state"]),
        values["instances"] if known else values["told_instances"],
        known,
        values["newest"],
        values["updated_at"],
        PatientKey(values["issuer"], values["patient_id"]),
        attributes,
        unknown,
    )


def modality_of(study: AwaitedStudy, instances: Sequence[AwaitedInstance]) -> tuple[str, ...]:
    """Modality of a series; nothing where it is not known."""
    told = modality_of_series(((one.modality, one.sop_class_uid) for one in instances), study.attributes.get(MODALITIES, ()))
    return (told,) if told else ()
