"""The modality of a series, also where nobody says it: some SOP Classes allow one value of Modality only (PS3.3 annex A)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_MODALITY: Final[Mapping[str, str]] = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.2": "MG",
    "1.2.840.10008.5.1.4.1.1.1.3": "IO",
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.4.2": "MR",
    "1.2.840.10008.5.1.4.1.1.11.1": "PR",
    "1.2.840.10008.5.1.4.1.1.11.2": "PR",
    "1.2.840.10008.5.1.4.1.1.12.1": "XA",
    "1.2.840.10008.5.1.4.1.1.12.2": "RF",
    "1.2.840.10008.5.1.4.1.1.20": "NM",
    "1.2.840.10008.5.1.4.1.1.88.11": "SR",
    "1.2.840.10008.5.1.4.1.1.88.22": "SR",
    "1.2.840.10008.5.1.4.1.1.88.33": "SR",
    "1.2.840.10008.5.1.4.1.1.88.59": "KO",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.130": "PT",
    "1.2.840.10008.5.1.4.1.1.481.2": "RTDOSE",
    "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
    "1.2.840.10008.5.1.4.1.1.481.5": "RTPLAN",
}


def modality_of_series(instances: Iterable[tuple[str, str]], of_study: Sequence[str] = ()) -> str:
    """Modality of a series, given what a source tells of each of its instances: Modality and SOP Class UID, empty where it does not.

    It is the one that is told, else the only one of the study, else the one that the classes allow; empty: nobody knows.
    """
    known = list(instances)
    told = {modality for modality, _ in known} - {""}
    if not told and len(of_study) == 1:
        return of_study[0]
    told = told or {_MODALITY.get(sop_class, "") for _, sop_class in known}
    return told.pop() if len(told) == 1 else ""
