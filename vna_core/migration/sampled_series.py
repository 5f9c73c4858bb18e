"""Modality and station of the series of a few studies: as the source answers, else as the headers of what it delivers say."""

from __future__ import annotations

from collections import Counter
from typing import Final

from vna_core.dicom.first_elements import first_elements
from vna_core.domain.errors import VnaError
from vna_core.migration.listed_studies import value
from vna_core.ports.pacs import DicomJson

MODALITY, STATION = 0x00080060, 0x00081010
_STUDY, _SERIES = 0x0020000D, 0x0020000E
_WANTED: Final = frozenset((MODALITY, STATION, _STUDY, _SERIES))
UNKNOWN: Final = "unknown"


class SampledSeries:
    """Collects what is told of each series, whoever tells it first."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, dict[int, str]]] = {}

    def answered(self, study_instance_uid: str, answer: DicomJson) -> None:
        """The source answered a question at the series level."""
        self._tell(study_instance_uid, value(answer, "0020000E"), value(answer, "00080060"), value(answer, "00081010"))

    def delivered(self, head: bytes) -> None:
        """The source delivered an instance, of which these are the first octets."""
        try:
            found = first_elements(head, _WANTED).values
        except VnaError:  # what no header can be read of tells nothing here; a migration quarantines it with the reason
            return
        study, series, modality, station = (next(iter(found.get(tag, ())), "") for tag in (_STUDY, _SERIES, MODALITY, STATION))
        if study in self._told:
            self._tell(study, series, modality, station)

    def _tell(self, study: str, series: str, modality: str, station: str) -> None:
        told = self._told.setdefault(study, {}).setdefault(series, {})
        for tag, text in ((MODALITY, modality.strip()), (STATION, station.strip())):
            if text:
                told.setdefault(tag, text)

    def modalities(self, study_instance_uid: str) -> set[str]:
        """Modalities of a study, as far as its series tell them."""
        return {told[MODALITY] for told in self._told.get(study_instance_uid, {}).values() if MODALITY in told}

    def stations(self) -> Counter[str]:
        """Number of series by station."""
        return Counter(told.get(STATION, UNKNOWN) for series in self._told.values() for told in series.values())
