"""The shape of a rule, and the catalogue of those that reading and writing apply by themselves.

Adding a rule is adding a small function and its `Rule` to the tuple of its family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from vna_core.dicom.character_sets import decode_text
from vna_core.dicom.elements import Element, ParsedOctets
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.transformation import Confidence, Finding, Transformation

RULE_SET: Final = "2026.11.0"
"""Version of the whole rule set; recorded in the provenance of every instance."""


class Layer(IntEnum):
    """What a rule may touch."""

    CONTAINER = 0
    ENCODING = 1
    VALUES = 2
    PIXELS = 3


@dataclass(slots=True, eq=False)
class Draft:
    """The canonical data set while rules look at it: what was parsed, and what they replaced at the top level.

    Attributes
    ----------
    replaced
        Tag to representation and little-endian value; stands instead of the parsed element, or beside the others.
    """

    received: ReceivedInstance
    parsed: ParsedOctets
    replaced: dict[int, tuple[str, bytes]] = field(default_factory=dict)

    def element(self, tag: int) -> Element | None:
        """The first element of that tag at the top level, as parsed."""
        for element in self.parsed.data_set.elements:
            if element[0] == tag:
                return element
        return None

    def text(self, tag: int) -> str:
        """First value of a text element as it stands now; empty when absent."""
        if tag in self.replaced:
            return self.replaced[tag][1].decode("latin-1").rstrip(" \0")
        element = self.element(tag)
        if element is None or element[4] is not None:
            return ""
        raw = bytes(self.parsed.buffer[element[2] : element[2] + element[3]])
        values = decode_text(raw, element[1], ())
        return values[0] if values else ""


Outcome = Iterable[Transformation | Finding]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes
    ----------
    id
        As in the reference page of normalization rules.
    apply
        Looks at the draft, changes it where it must, and says what it did. Applied to its own result it does nothing.
    """

    id: str
    version: int
    layer: Layer
    confidence: Confidence
    title: str
    apply: Callable[[Draft], Outcome] | None = None


_P, _I = Confidence.PROVEN, Confidence.INFERRED
_C, _E, _X = Layer.CONTAINER, Layer.ENCODING, Layer.PIXELS

READING: Final[dict[str, Rule]] = {
    rule.id: rule
    for rule in (
        Rule("F01", 1, _C, _P, "No preamble: the file begins with group 0002"),
        Rule("F02", 1, _C, _P, "The prefix DICM stands at offset 0"),
        Rule("F03", 1, _C, _P, "Bare implicit data set without file meta information"),
        Rule("F04", 1, _C, _P, "Bare explicit data set without file meta information"),
        Rule("F05", 1, _C, _I, "ACR-NEMA data set"),
        Rule("F06", 1, _C, _I, "Implicit big endian data set"),
        Rule("F07", 1, _C, _P, "Wrong length of the file meta information"),
        Rule("F08", 1, _C, _P, "Length of the file meta information absent"),
        Rule("F09", 1, _C, _P, "Transfer syntax absent; found by the octets"),
        Rule("F10", 1, _C, _P, "Transfer syntax padded with spaces"),
        Rule("F11", 1, _C, _P, "Private transfer syntax over a standard encoding"),
        Rule("F12", 1, _C, _P, "Labelled explicit, encoded implicit"),
        Rule("F13", 1, _C, _P, "Labelled implicit, encoded explicit"),
        Rule("F14", 1, _C, _P, "Labelled with the other byte order"),
        Rule("F15", 1, _C, _P, "GE private transfer syntax: pixel data in the other byte order"),
        Rule("F16", 1, _C, _P, "File meta information in implicit encoding"),
        Rule("F17", 1, _C, _P, "File meta information in big endian"),
        Rule("F18", 1, _C, _P, "Deflated with a zlib or gzip header"),
        Rule("F19", 1, _C, _P, "Octets after the deflate stream"),
        Rule("F21", 1, _C, _P, "Trailing padding (FFFC,FFFC) left out"),
        Rule("F22", 1, _C, _P, "Junk after the data set left out"),
        Rule("F24", 1, _C, _P, "Preamble that is not zero (kept in the reverse patch only)"),
        Rule("F25", 1, _C, _P, "Whole file 16-bit byte-swapped"),
        Rule("F26", 1, _C, _P, "Foreign octets before the preamble"),
        Rule("F27", 1, _C, _P, "Part 10 header repeated"),
        Rule("F28", 1, _C, _P, "Command or file meta elements inside the data set left out"),
        Rule("E01", 1, _E, _P, "Sequence stored as UN of defined length"),
        Rule("E02", 1, _E, _P, "Sequence stored as UN of undefined length"),
        Rule("E03", 1, _E, _P, "Explicit items inside UN"),
        Rule("E04", 1, _E, _P, "UN in big endian holds little endian items"),
        Rule("E05", 1, _E, _P, "Sequence under another representation with undefined length"),
        Rule("E06", 1, _E, _P, "Private sequence recognized by its items"),
        Rule("E07", 1, _E, _P, "Byte-swapped item tags"),
        Rule("E08", 1, _E, _I, "Damaged item tag"),
        Rule("E09", 1, _E, _P, "Sequence delimiter inside a sequence of defined length"),
        Rule("E10", 1, _E, _P, "Wrong sequence length; the items decide"),
        Rule("E11", 1, _E, _I, "Wrong item length; the elements decide"),
        Rule("E12", 1, _E, _P, "Delimiter with a length"),
        Rule("E13", 1, _E, _P, "Stray item or delimiter left out"),
        Rule("E14", 1, _E, _I, "Sequence never closed"),
        Rule("E15", 1, _E, _I, "Illegal value representation replaced"),
        Rule("E16", 1, _E, _P, "Illegal value representation of the pixel data replaced"),
        Rule("E17", 1, _E, _P, "Long representation with a 16-bit length"),
        Rule("E18", 1, _E, _P, "Implicit elements among explicit ones"),
        Rule("E19", 1, _E, _I, "Length 13 written for 10 octets"),
        Rule("E20", 1, _E, _I, "Length 6 written for 4 octets"),
        Rule("E21", 1, _E, _P, "Odd length padded"),
        Rule("E22", 1, _E, _I, "32-bit length under a short representation"),
        Rule("E25", 1, _E, _P, "Representation of the pixel data corrected"),
        Rule("E26", 1, _E, _P, "Elements put in ascending order"),
        Rule("E27", 1, _E, _P, "Repeated element: the first one counts"),
        Rule("E28", 1, _E, _P, "Group lengths left out"),
        Rule("N01", 1, _E, _P, "Re-encoded as Explicit VR Little Endian"),
        Rule("N02", 1, _E, _P, "Sequences and items written with defined lengths"),
        Rule("P09", 1, _X, _P, "Transfer syntax set to what the pixel data is"),
        Rule("P12", 1, _X, _P, "Fragments joined: one per frame"),
        Rule("P13", 1, _X, _P, "Offset table rebuilt"),
        Rule("P14", 1, _X, _P, "Extended offset table replaced by the basic one"),
        Rule("P15", 1, _X, _P, "Missing end of the pixel data"),
        Rule("P16", 1, _X, _P, "Encapsulated pixel data of defined length"),
        Rule("P25", 1, _X, _P, "Odd length of the pixel data padded"),
    )
}
"""Rules that the tokenizer and the writer apply while they work, by id."""
