"""ACR-NEMA 1.0 and 2.0: what there was before DICOM. What is odd, and how we know: the vendor page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vna_core.ports.dialect import DialectFacts, DialectFinding, Markers, Recognition
from vna_core.ports.dialect_base import Evidence, MarkedDialect

LENGTH_TO_END, RECOGNITION_CODE, DATA_SET_TYPE = 0x00080001, 0x00080010, 0x00080040
IMAGE_DIMENSIONS, BITS_ALLOCATED, IMAGE_LOCATION = 0x00280005, 0x00280100, 0x00280200
USUAL_IMAGE_LOCATIONS: Final = ("32736", "7FE0")
_RETIRED: Final = ((LENGTH_TO_END, 0.45), (DATA_SET_TYPE, 0.2), (IMAGE_DIMENSIONS, 0.15), (IMAGE_LOCATION, 0.15))


class AcrNemaDialect(MarkedDialect):
    """Objects without SOP class, identifiers and File Meta Information, with elements that DICOM retired at once."""

    name = "acr-nema"
    vendor_page = "vendors/acr-nema.md"
    markers = Markers(tags=(LENGTH_TO_END, RECOGNITION_CODE, DATA_SET_TYPE, IMAGE_DIMENSIONS, IMAGE_LOCATION))

    def recognize(self, facts: DialectFacts) -> Recognition | None:
        """By Recognition Code (0008,0010), else by several retired elements together."""
        evidence = Evidence()
        code = facts.text(RECOGNITION_CODE)
        if code.upper().replace(" ", "").startswith(("ACR-NEMA", "ACRNEMA")):
            evidence.add(0.98, f"Recognition Code is {code[:16]!r}")
        for tag, certainty in _RETIRED:
            if facts.length(f"{tag:08X}") > 0:
                evidence.add(certainty, f"retired element {tag:08X}")
        return evidence.recognition(facts)

    def describe(self, facts: DialectFacts) -> Iterator[DialectFinding]:
        """F05."""
        code = facts.text(RECOGNITION_CODE)[:16]
        yield DialectFinding("F05", f"{code or 'ACR-NEMA'} object: older than DICOM, retired elements are kept.", "00080010")
        allocated = facts.text(BITS_ALLOCATED)
        if allocated.isdecimal() and int(allocated) % 8:
            yield DialectFinding("F05", f"Samples of {allocated} bits are packed across octets: kept as they are.", "00280100")
        location = facts.text(IMAGE_LOCATION)
        if location and location.upper() not in USUAL_IMAGE_LOCATIONS:
            yield DialectFinding("F05", f"Image Location says that pixels stand in group {location[:8]}.", "00280200")
