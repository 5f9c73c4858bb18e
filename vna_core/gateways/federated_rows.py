"""Rows of a federated answer as they go out: where each is, what its copies disagree in, and what the numbers are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vna_core.dicom.json_elements import is_element
from vna_core.dicom.json_values import value_text
from vna_core.domain.identity import PatientLink
from vna_core.domain.query import Level
from vna_core.federation.rows import AVAILABILITY, COUNTS, RETRIEVE_AE_TITLE, texts
from vna_core.federation.union import FederatedRow
from vna_core.gateways.resource_paths import resource_path
from vna_core.stewardship.patient_identity import key_text

CREATOR: Final = "VNA FEDERATION"
PRIVATE: Final = "00090010"
SOURCES: Final = "00091001"
DISAGREEMENTS: Final = "00091002"
COUNTS_OF: Final = "00091003"
DECISIONS: Final = "00091004"
COMPARED: Final = "00091005"
"""Private attributes (creator `CREATOR`): names of the members that hold it; tags in which they differ; ``UNION`` or ``AT LEAST``;
the links, merges and moves of patients by which it came; and by what copies were compared, where there are several: their rows alone."""

VRS: Final[Mapping[int, str]] = {
    int(tag, 16): vr
    for tag, vr in (
        (PRIVATE, "LO"),
        (SOURCES, "LO"),
        (DISAGREEMENTS, "AT"),
        (COUNTS_OF, "CS"),
        (DECISIONS, "UC"),
        (COMPARED, "CS"),
    )
}
"""Their value representations."""

_GROUP: Final = "0009"
"""What a member says in this group is its own affair."""
_NUMBERS: Final = frozenset().union(*COUNTS.values())


def described(row: FederatedRow, aet: str) -> dict[str, Any]:
    """A row as DICOM JSON with where it is, retrieved through the title `aet`. What a member wrote that is no element is left out."""
    made = {tag: element for tag, element in row.attributes.items() if is_element(tag, element) and tag[:4] != _GROUP}
    made[RETRIEVE_AE_TITLE] = {"vr": "AE", "Value": [aet]}
    made.setdefault(AVAILABILITY, {"vr": "CS", "Value": ["ONLINE"]})
    made[PRIVATE] = {"vr": "LO", "Value": [CREATOR]}
    made[SOURCES] = {"vr": "LO", "Value": list(row.sources)}
    if row.disagreements:
        made[DISAGREEMENTS] = {"vr": "AT", "Value": sorted(row.disagreements)}
    if len(row.copies) > 1:
        made[COMPARED] = {"vr": "CS", "Value": ["ROWS"]}
    if row.decisions:
        made[DECISIONS] = {"vr": "UC", "Value": [decision_text(link) for link in row.decisions]}
    if not _NUMBERS.isdisjoint(made):
        made[COUNTS_OF] = {"vr": "CS", "Value": ["UNION" if row.counts_are_union else "AT LEAST"]}
    return {tag: made[tag] for tag in sorted(made)}


def decision_text(link: PatientLink) -> str:
    """A decision in one line: ``link 17, 4711^^^RAD to 0815^^^CARD, by hand (carol): passport seen``. It is the value of a multi-valued
    element, so it has no backslash."""
    named = f"{key_text(link.first)} to {key_text(link.second)}"
    study = f" study {link.study_instance_uid}" if link.study_instance_uid else ""
    made = f"{link.kind.value} {link.id}{study}, {named}, by {link.origin.value} ({link.made_by}): {link.reason}"
    return made.replace("\\", "/")


def path_of(row: Mapping[str, Any], level: Level) -> str:
    """Where a study, series or instance is below the root of the Studies Service."""
    return resource_path(level, lambda tag: "\\".join(texts(row, f"{tag:08X}")))


def dimse_values(row: Mapping[str, Any]) -> dict[int, tuple[str, ...]]:
    """A row's attributes as values of a C-FIND identifier; sequences are left out."""
    made: dict[int, tuple[str, ...]] = {}
    for tag, element in row.items():
        values = element.get("Value")
        if isinstance(values, list) and element.get("vr") != "SQ":
            made[int(tag, 16)] = tuple(map(value_text, values))
    return made
