"""Layer 0: preamble, File Meta Information, framing and byte order. No attribute changes.

The reader decides these by the octets and notes what it met; writing a conformant container puts them right. So a rule here
tells which notes it stands for. Structure of elements and items that the reader repaired (layer 1) is told the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vna_core.dicom.elements import Note, ParsedOctets
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.engine import Journal, Layer, Rule

ContainerRule = Rule[ParsedOctets, list[Note]]


def _noted(rule: str) -> Callable[[ParsedOctets], list[Note]]:
    def notes_of(parsed: ParsedOctets) -> list[Note]:
        return [note for note in parsed.notes if note.rule == rule]

    return notes_of


def _re_encoded(parsed: ParsedOctets) -> list[Note]:
    data_set = parsed.data_set
    if data_set.explicit and data_set.little_endian and not parsed.unfolded:
        return []
    return [Note("N01", parsed.data_set_offset, parsed.unfolded or parsed.transfer_syntax_uid)]


def _rule(id_: str, layer: Layer, confidence: Confidence, summary: str) -> ContainerRule:
    return Rule(id_, 1, layer, confidence, _noted(id_), summary)


_L0, _L1, _L3 = Layer.CONTAINER, Layer.ENCODING, Layer.PIXELS
_PROVEN, _INFERRED = Confidence.PROVEN, Confidence.INFERRED

CONTAINER_RULES: Final[tuple[ContainerRule, ...]] = (
    _rule("F01", _L0, _PROVEN, "File Meta Information without preamble: preamble and prefix are written."),
    _rule("F02", _L0, _PROVEN, "Prefix DICM without preamble: the preamble is written."),
    _rule("F03", _L0, _PROVEN, "Bare implicit data set: File Meta Information is written."),
    _rule("F04", _L0, _PROVEN, "Bare explicit data set: File Meta Information is written."),
    _rule("F05", _L0, _PROVEN, "ACR-NEMA data set: written as DICOM, without what only ACR-NEMA had."),
    _rule("F06", _L0, _PROVEN, "Implicit big endian data set: byte order is turned round."),
    _rule("F07", _L0, _PROVEN, "Group length of the File Meta Information is wrong: recomputed."),
    _rule("F08", _L0, _PROVEN, "Group length of the File Meta Information is missing: written."),
    _rule("F09", _L0, _PROVEN, "Transfer Syntax UID is missing: written as the octets show."),
    _rule("F10", _L0, _PROVEN, "Transfer Syntax UID is padded with spaces: stripped."),
    _rule("F11", _L0, _PROVEN, "Unknown transfer syntax over a standard encoding: written as the octets show."),
    _rule("F12", _L0, _PROVEN, "Declared explicit, encoded implicit: written as the octets show."),
    _rule("F13", _L0, _PROVEN, "Declared implicit, encoded explicit: written as the octets show."),
    _rule("F14", _L0, _PROVEN, "Declared byte order is not that of the octets: written as the octets show."),
    _rule("F15", _L0, _PROVEN, "Private GE transfer syntax: pixel data is turned to little endian."),
    _rule("F16", _L0, _PROVEN, "File Meta Information is implicit: re-encoded."),
    _rule("F17", _L0, _PROVEN, "File Meta Information is big endian: re-encoded."),
    _rule("F18", _L0, _PROVEN, "Deflate stream with a zlib or gzip header: inflated."),
    _rule("F19", _L0, _PROVEN, "Octets after the deflate stream: left out."),
    _rule("F22", _L0, _PROVEN, "Octets after the data set: left out."),
    _rule("F24", _L0, _PROVEN, "Preamble is not zero: written as zero."),
    _rule("F25", _L0, _PROVEN, "Every 16-bit word is byte-swapped: turned round."),
    _rule("F26", _L0, _PROVEN, "Octets before the DICOM file: left out."),
    _rule("F27", _L0, _PROVEN, "A DICOM file inside a DICOM file: unwrapped."),
    *(
        _rule(f"E{number:02d}", _L1, confidence, summary)
        for number, confidence, summary in (
            (1, _PROVEN, "Sequence under UN: written as SQ."),
            (2, _PROVEN, "UN of undefined length: written as SQ."),
            (3, _PROVEN, "UN sequence that is explicit inside: written as SQ."),
            (4, _PROVEN, "UN in a big endian data set is little endian inside: written as SQ."),
            (5, _PROVEN, "Sequence under another representation: written as SQ."),
            (6, _PROVEN, "Private sequence in an implicit data set: written as SQ."),
            (7, _PROVEN, "Item tags in the other byte order: turned round."),
            (8, _INFERRED, "Damaged item tag: written as an item."),
            (9, _PROVEN, "Delimiter inside a sequence of defined length: left out."),
            (10, _PROVEN, "Length of a sequence is wrong: recomputed from its items."),
            (11, _INFERRED, "Length of an item is wrong: recomputed from its elements."),
            (12, _PROVEN, "Delimiter with a length: written without."),
            (13, _PROVEN, "Item or delimiter outside a sequence: left out."),
            (14, _INFERRED, "Sequence never closed: closed."),
            (15, _INFERRED, "Illegal value representation: the dictionary's is written."),
            (16, _INFERRED, "Pixel Data with an illegal representation: OB or OW is written."),
            (17, _PROVEN, "16-bit length where 32 bits belong: long form is written."),
            (18, _PROVEN, "Explicit and implicit elements mixed: all written explicit."),
            (19, _INFERRED, "Length 13 written for 10 octets: 10 is written."),
            (20, _INFERRED, "Length 6 written for 4 octets: 4 is written."),
            (22, _INFERRED, "32-bit length where 16 bits belong: written as UN."),
        )
    ),
    Rule("N01", 1, _L1, _PROVEN, _re_encoded, "Another encoding than Explicit VR Little Endian: written in that."),
    _rule("P09", _L3, _PROVEN, "Transfer syntax is not that of the codestream: written as the codestream shows."),
    _rule("P15", _L3, _PROVEN, "Sequence delimiter of the pixel data is missing: written."),
    _rule("P16", _L3, _PROVEN, "Encapsulated pixel data of defined length: re-encapsulated."),
)
"""In the order they are listed in the explanation."""

_KNOWN: Final = frozenset(rule.id for rule in CONTAINER_RULES)


def apply_container_rules(parsed: ParsedOctets, journal: Journal) -> None:
    """Record every note of the reader under its rule. A note without a rule here is recorded too, as inferred."""
    if not parsed.notes and not _re_encoded(parsed):
        return
    for rule in CONTAINER_RULES:
        for note in rule.apply(parsed):
            journal.change(rule.id, rule.confidence, tag=note.tag or "", detail=note.detail)
    for note in parsed.notes:
        if note.rule not in _KNOWN:
            journal.change(note.rule, _INFERRED, tag=note.tag or "", detail=note.detail)
