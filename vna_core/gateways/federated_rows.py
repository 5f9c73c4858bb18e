"""Rows of a federated answer as they go out: where each is, what its copies disagree in, and what the numbers are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vna_core.federation.rows import AVAILABILITY, RETRIEVE_AE_TITLE
from vna_core.federation.union import FederatedRow

CREATOR: Final = "VNA FEDERATION"
PRIVATE: Final = "00090010"
SOURCES: Final = "00091001"
DISAGREEMENTS: Final = "00091002"
COUNTS_OF: Final = "00091003"
"""Private attributes (creator `CREATOR`): names of the members that hold it; tags in which they differ; ``UNION`` or ``AT LEAST``."""

_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def described(row: FederatedRow, aet: str) -> dict[str, Any]:
    """A row as DICOM JSON with where it is, retrieved through the title `aet`."""
    made = dict(row.attributes)
    made[RETRIEVE_AE_TITLE] = {"vr": "AE", "Value": [aet]}
    made.setdefault(AVAILABILITY, {"vr": "CS", "Value": ["ONLINE"]})
    made[PRIVATE] = {"vr": "LO", "Value": [CREATOR]}
    made[SOURCES] = {"vr": "LO", "Value": list(row.sources)}
    if row.disagreements:
        made[DISAGREEMENTS] = {"vr": "AT", "Value": sorted(row.disagreements)}
    made[COUNTS_OF] = {"vr": "CS", "Value": ["UNION" if row.counts_are_union else "AT LEAST"]}
    return dict(sorted(made.items()))


def dimse_values(row: Mapping[str, Any]) -> dict[int, tuple[str, ...]]:
    """A row's attributes as values of a C-FIND identifier; sequences are left out."""
    made: dict[int, tuple[str, ...]] = {}
    for tag, element in row.items():
        values = element.get("Value")
        if isinstance(values, list) and element.get("vr") != "SQ":
            made[int(tag, 16)] = tuple(_text(value) for value in values)
    return made


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "=".join(str(value.get(group, "")) for group in _GROUPS).rstrip("=")
    return "" if value is None else str(value)
