"""Agfa: archives that move private blocks to other numbers. What is odd, and how we know: the vendor page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vna_core.ports.dialect import DialectFacts, DialectFinding, Markers, Recognition
from vna_core.ports.dialect_base import MarkedDialect, evidence_of_markers

_OWN: Final = Markers(
    manufacturers=("agfa",),
    creators=("AGFA", "Agfa", "agfa/", "MITRA ", "AgilityRuntime", "AgilityOverlay"),
    uids=("1.3.51.0.7.",),
)

FRAMES: Final = 0x52009230

USUAL_BLOCKS: Final[Mapping[tuple[int, str], int]] = {
    (0x0021, "SIEMENS MR SDS 01"): 0x10,
    (0x0021, "SIEMENS MR SDI 02"): 0x11,
    (0x0021, "SIEMENS MR SDR 01"): 0x12,
    (0x2001, "Philips Imaging DD 001"): 0x10,
    (0x2001, "Philips Imaging DD 002"): 0x11,
    **{(0x2005, f"Philips MR Imaging DD {number:03}"): 0x0F + number for number in range(1, 7)},
}
"""Blocks that scanners always reserve, whether the blocks below are used or not, by group and creator."""


class AgfaDialect(MarkedDialect):
    """Other vendors' private elements keep their creator and their low octet, but not their number."""

    name = "agfa"
    vendor_page = "vendors/agfa.md"
    markers = Markers(
        manufacturers=_OWN.manufacturers,
        creators=(*_OWN.creators, "SIEMENS MR ", "Philips MR ", "Philips Imaging "),
        uids=_OWN.uids,
        tags=(FRAMES,),  # the blocks of enhanced images stand in their functional groups, with no creator at the top level
    )

    def recognize(self, facts: DialectFacts) -> Recognition | None:
        """By Agfa's own elements, or by blocks moved to lower numbers."""
        evidence = evidence_of_markers(_OWN, facts)
        moved = list(moved_blocks(facts))
        if moved:
            evidence.add(0.6, f"{len(moved)} private blocks of other vendors are moved")
        return evidence.recognition(facts)

    def describe(self, facts: DialectFacts) -> Iterator[DialectFinding]:
        """E31."""
        for path, creator, usual in moved_blocks(facts):
            told = f"{creator} reserves block {path[-2:]} where scanners reserve {usual:02X}: address by creator."
            yield DialectFinding("E31", told, path)


def moved_blocks(facts: DialectFacts) -> Iterator[tuple[str, str, int]]:
    """Path of the creator, creator and usual block of every block that was moved down while its usual place is free.

    A block moves down when an archive writes private blocks anew without gaps, so a higher one than usual proves nothing.
    """
    creators = facts.creators()
    taken = {path for path, _ in creators}
    for path, creator in creators:
        usual = USUAL_BLOCKS.get((int(path[-8:-4], 16), creator))
        if usual is not None and int(path[-2:], 16) < usual and f"{path[:-2]}{usual:02X}" not in taken:
            yield path, creator, usual
