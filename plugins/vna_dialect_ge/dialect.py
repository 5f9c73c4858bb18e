"""GE: General Electric Medical Systems and GE HealthCare, all modalities. What is odd, and how we know: the vendor page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vna_core.ports.dialect import DialectFacts, DialectFinding, Markers
from vna_core.ports.dialect_base import MarkedDialect

PRIVATE_TRANSFER_SYNTAX: Final = "1.2.840.113619.5.2"
SOURCE_AE_TITLE: Final = 0x00020016
JITTERING_SOURCE: Final = "DIGITAL_JACKET"
COMPLEX_COMPONENTS: Final[Mapping[str, str]] = {"0": "magnitude", "1": "phase", "2": "real", "3": "imaginary"}


class GeDialect(MarkedDialect):
    """Private big-endian pixels, icons that GEIIS archives put in, and values that only private elements tell."""

    name = "ge"
    vendor_page = "vendors/ge.md"
    markers = Markers(
        manufacturers=("ge ", "g.e. ", "general electric"),
        creators=("GEMS_", "GEHC_", "GEIIS", "KRETZ_"),
        uids=("1.2.840.113619.",),
        transfer_syntaxes=(PRIVATE_TRANSFER_SYNTAX,),
    )

    def describe(self, facts: DialectFacts) -> Iterator[DialectFinding]:
        """F15, P33."""
        if facts.declared_transfer_syntax_uid == PRIVATE_TRANSFER_SYNTAX:
            yield DialectFinding(
                "F15",
                "GE's private transfer syntax: the data set is implicit little endian, its pixels are big endian.",
                "7FE00010",
            )
        if facts.text(SOURCE_AE_TITLE) == JITTERING_SOURCE:
            yield DialectFinding(
                "P33", "From a sender whose slices of one volume differ in the last digits of their orientation.", "00200037"
            )

    def index(self, facts: DialectFacts) -> Mapping[str, tuple[str, ...]]:
        """Which component of a complex MR image this is, where it is not the magnitude."""
        values = facts.values(facts.private("GEMS_PARM_01", 0x2F, group=0x0043))
        component = COMPLEX_COMPONENTS.get(values[0] if values else "0", "")
        return {"complex image component": (component,)} if component not in ("", "magnitude") else {}
