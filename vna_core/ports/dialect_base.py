"""What dialects have in common: certainty from independent evidence, and answers for those that have nothing to say."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from vna_core.ports.dialect import (
    MANUFACTURER,
    SOP_INSTANCE_UID,
    DerivedPixels,
    DialectFacts,
    DialectFinding,
    Markers,
    Recognition,
)

MODEL_NAME: Final = 0x00081090
SOFTWARE_VERSIONS: Final = 0x00181020


@dataclass(slots=True)
class Evidence:
    """Gathers independent evidence: certainties combine as 1 - (1 - a)(1 - b)."""

    found: list[tuple[float, str]] = field(default_factory=list)

    def add(self, certainty: float, what: str) -> None:
        """One more piece of evidence, which alone would give this certainty."""
        self.found.append((certainty, what))

    def recognition(self, facts: DialectFacts) -> Recognition | None:
        """The recognition it amounts to; None without evidence."""
        if not self.found:
            return None
        doubt = 1.0
        for certainty, _ in self.found:
            doubt *= 1.0 - certainty
        strongest = sorted(self.found, key=lambda one: -one[0])
        product = " ".join(filter(None, (facts.text(MODEL_NAME), facts.text(SOFTWARE_VERSIONS))))
        return Recognition(round(1.0 - doubt, 3), tuple(what for _, what in strongest), product)


def evidence_of_markers(markers: Markers, facts: DialectFacts) -> Evidence:
    """The evidence that markers give by themselves; presence of an element gives none."""
    evidence = Evidence()
    manufacturer = facts.text(MANUFACTURER)
    if markers.manufacturers and f"{manufacturer} ".lower().startswith(markers.manufacturers):
        evidence.add(0.8, f"Manufacturer is {manufacturer!r}")
    creators = sorted({creator for _, creator in facts.creators() if creator.startswith(markers.creators or ("\0",))})
    if creators:
        evidence.add(0.9, f"private creators {', '.join(creators[:4])}")
    if markers.uids and facts.text(SOP_INSTANCE_UID).startswith(markers.uids):
        evidence.add(0.7, "SOP Instance UID has a root of the vendor")
    if markers.uids and facts.sop_class_uid.startswith(markers.uids):
        evidence.add(0.95, f"private SOP class {facts.sop_class_uid}")
    if markers.transfer_syntaxes and facts.declared_transfer_syntax_uid.startswith(markers.transfer_syntaxes):
        evidence.add(0.95, f"private transfer syntax {facts.declared_transfer_syntax_uid}")
    return evidence


class MarkedDialect(ABC):
    """A dialect that its markers alone make certain. Subclasses say more; every method may be overridden."""

    name: str
    vendor_page: str
    markers: Markers

    def recognize(self, facts: DialectFacts) -> Recognition | None:
        """Whether the markers that are met suffice."""
        return evidence_of_markers(self.markers, facts).recognition(facts)

    def describe(self, facts: DialectFacts) -> Iterable[DialectFinding]:
        """Nothing odd."""
        return ()

    def index(self, facts: DialectFacts) -> Mapping[str, tuple[str, ...]]:
        """No values."""
        return {}

    def derive_pixels(self, facts: DialectFacts) -> DerivedPixels | None:
        """No private pixels."""
        return None
