"""Layer 1: representation, lengths and order of elements. Values stay what they are.

A clean element passes with a few comparisons. Only one that shows something is taken through `ELEMENT_RULES`, in order;
each sees what the rules before it made of the element.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from vna_core.dicom import dictionary
from vna_core.dicom.elements import DataSet, Element, ParsedOctets
from vna_core.dicom.reverse_patch import swap
from vna_core.dicom.revision import RevisedDataSet
from vna_core.dicom.value_representations import LONG_NAMES, SWAP_UNIT
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.amendments import Amender, Path, path_text
from vna_core.ingest.normalize.engine import Journal, Layer, Rule, displayed
from vna_core.ingest.normalize.private_blocks import PrivateBlocks, block_of
from vna_core.ingest.normalize.representation import may_be, parses_as, same_integers

TRAILING_PADDING: Final = 0xFFFCFFFC
PIXEL_TAGS: Final = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_FIRST: Final = 0x00040000
_FIRST_PRIVATE: Final = 0x00090000
_RECORDED: Final = frozenset(("E27", "E32", "E33"))
"""Rules whose elements are left out or move although they may say something: they are told in the data set's own terms."""

_SHORT_MAXIMUM: Final = 0xFFFE
_PROVEN, _INFERRED = Confidence.PROVEN, Confidence.INFERRED


@dataclass(frozen=True, slots=True)
class Suspect:
    """An element that shows something, and its surroundings.

    Attributes
    ----------
    element
        As the rules before left it.
    creators
        Private blocks reserved so far in the same data set: creators by their tags.
    blocks
        Where private blocks went whose creator's place was taken already.
    before
        The element kept last; None: none yet.
    seen
        Tags met so far in the same data set; None while they ascend.
    plain_source
        The data set is explicit little endian as it was received.
    """

    element: Element
    revised: RevisedDataSet
    creators: Mapping[int, bytes]
    blocks: PrivateBlocks
    before: Element | None
    top_level: bool
    last: int
    seen: set[int] | None
    plain_source: bool


@dataclass(frozen=True, slots=True)
class Revision:
    """A rule's verdict: the element as it is to be written (None: left out), or a finding where nothing changes."""

    element: Element | None
    original: str | None = None
    canonical: str | None = None
    detail: str = ""
    finding: str = ""


ElementRule = Rule[Suspect, Revision | None]


def _trailing_padding(suspect: Suspect) -> Revision | None:
    if suspect.element.tag == TRAILING_PADDING:
        return Revision(None, detail=f"{suspect.element.length} octets of trailing padding")
    return None


def _foreign_group(suspect: Suspect) -> Revision | None:
    element = suspect.element
    if element.tag >> 16 in (0x0000, 0x0002) and suspect.top_level:
        return Revision(
            None,
            original=displayed(suspect.revised.value(element)[:64]) if element.items is None else "",
            detail=f"group {element.tag >> 16:04X}",
        )
    return None


def _illegal_group(suspect: Suspect) -> Revision | None:
    element = suspect.element
    group, number = element.tag >> 16, element.tag & 0xFFFF
    if element.tag > TRAILING_PADDING or group in (1, 3, 5, 7) or (group & 1 and 0 < number < 0x10):
        value = (
            ""
            if element.items is not None
            else displayed(suspect.revised.value(element._replace(length=min(element.length, 64))))
        )
        return Revision(None, original=value, detail=f"group {element.tag >> 16:04X}")
    return None


def _group_length(suspect: Suspect) -> Revision | None:
    return Revision(None) if not suspect.element.tag & 0xFFFF else None


def _duplicate(suspect: Suspect) -> Revision | None:
    element = suspect.element
    if suspect.seen is None or element.tag not in suspect.seen:
        return None
    value = (
        "" if element.items is not None else displayed(suspect.revised.value(element._replace(length=min(element.length, 64))))
    )
    return Revision(None, original=value, detail="further element with the same tag")


def _collision(suspect: Suspect) -> Revision | None:
    """A block whose creator's place another one took moves to a free one (PS3.5 section 7.8.1)."""
    element = suspect.element
    tag = element.tag
    if not tag & 0x10000 or suspect.seen is None:
        return None
    if dictionary.is_private_creator(tag):
        slot = suspect.blocks.place(tag, _creator_text(suspect), suspect.creators, suspect.before)
    else:
        slot = suspect.blocks.moved.get(block_of(tag), 0)
        slot = (tag & 0xFFFF0000) | (slot & 0xFF) << 8 | (tag & 0xFF) if slot and tag & 0xFFFF >= 0x1000 else 0
    if not slot or slot == tag:
        return None
    return Revision(element._replace(tag=slot), detail=f"moved to {slot:08X}")


def _creator_text(suspect: Suspect) -> bytes:
    element = suspect.element
    return b"" if element.items is not None or element.length > 64 else suspect.revised.value(element).strip(b" \0")


def _order(suspect: Suspect) -> Revision | None:
    return Revision(suspect.element) if suspect.element.tag <= suspect.last else None


def _private_creator(suspect: Suspect) -> Revision | None:
    tag, vr, _start, length, items = suspect.element
    if not dictionary.is_private_creator(tag) or items is not None or not length or length > 64:
        return None
    raw = suspect.revised.value(suspect.element)
    text = raw.rstrip(b" \0")
    if not text or b"\0" in text or (vr == "LO" and not raw.endswith(b"\0")):
        return None
    even = text + b" " * (len(text) & 1)
    return Revision(
        suspect.revised.literal(tag, "LO", even), detail=f"private creator as {vr}, padding {raw[len(text) :].hex() or 'none'}"
    )


def _no_creator(suspect: Suspect) -> Revision | None:
    tag = suspect.element.tag
    if not tag & 0x10000 or tag & 0xFFFF < 0x1000 or tag >> 16 < 9:
        return None
    if ((tag & 0xFFFF0000) | (tag >> 8 & 0xFF)) in suspect.creators:
        return None
    return Revision(suspect.element, finding="Private elements in a block that no creator reserves.")


def _representation(suspect: Suspect) -> Revision | None:
    tag, vr, _, length, items = suspect.element
    if items is not None or tag & 0x10000 or tag in PIXEL_TAGS:
        return None
    wanted = dictionary.vr_of(tag)
    if wanted in ("UN", vr) or may_be(tag, vr) or not length:
        if length or wanted in ("UN", "SQ", vr) or may_be(tag, vr):
            return None
        return Revision(suspect.element._replace(vr=wanted), detail=f"{vr} to {wanted}")
    if parses_as(suspect.revised, suspect.element, wanted):
        return Revision(suspect.element._replace(vr=wanted), detail=f"{vr} to {wanted}")
    integers = same_integers(suspect.revised, suspect.element, wanted)
    if integers is not None:
        return Revision(suspect.revised.literal(tag, wanted, integers), detail=f"{vr} to {wanted}")
    return Revision(suspect.element, finding=f"Written as {vr} where {wanted} belongs; the value does not read as that.")


def _odd_length(suspect: Suspect) -> Revision | None:
    element = suspect.element
    if not element.length & 1 or element.items is not None:
        return None
    return Revision(element, detail="odd length")


def _too_long(suspect: Suspect) -> Revision | None:
    tag, vr, start, length, items = suspect.element
    if items is not None or vr in LONG_NAMES or length + (length & 1) <= _SHORT_MAXIMUM:
        return None
    return Revision(Element(tag, "UN", start, length, None), detail=f"{vr} to UN")


def _undefined_length(suspect: Suspect) -> Revision | None:
    element, buffer = suspect.element, suspect.revised.buffer
    if not element.items or not suspect.plain_source or element.start < 4:
        return None
    begins = (element.start, *(item.begin for item in element.items))
    if any(buffer[begin - 4 : begin] == b"\xff\xff\xff\xff" for begin in begins):
        return Revision(element)
    return None


def is_undisputed(tag: int, vr: str, length: int) -> bool:
    """Whether no rule below has anything to say of an element that is written so, little endian and in ascending order.

    A private element is so only where a creator reserves its block.
    """
    if length & 1 or length >= 0xFFFF or not _FIRST <= tag < TRAILING_PADDING or not tag & 0xFFFF or tag in PIXEL_TAGS:
        return False
    if tag & 0x10000:
        return tag > _FIRST_PRIVATE and (0x10 <= tag & 0xFFFF <= 0xFF or tag & 0xFFFF >= 0x1000)
    return dictionary.vr_of(tag) in (vr, "UN") or may_be(tag, vr)


ELEMENT_RULES: Final[tuple[ElementRule, ...]] = (
    Rule("F21", 1, Layer.CONTAINER, _PROVEN, _trailing_padding, "Data Set Trailing Padding: left out."),
    Rule("F28", 1, Layer.CONTAINER, _PROVEN, _foreign_group, "Command or file meta elements inside the data set: left out."),
    Rule(
        "E33",
        1,
        Layer.ENCODING,
        _PROVEN,
        _illegal_group,
        "Element with a tag that PS3.5 section 7.8 does not allow: left out, its octets are kept.",
    ),
    Rule("E28", 1, Layer.ENCODING, _PROVEN, _group_length, "Group length (gggg,0000), retired: left out."),
    Rule("E32", 1, Layer.ENCODING, _PROVEN, _collision, "A second private creator in the same place: moved with its block."),
    Rule("E27", 1, Layer.ENCODING, _PROVEN, _duplicate, "A second element with the same tag: the first counts."),
    Rule("E26", 1, Layer.ENCODING, _PROVEN, _order, "Tags do not ascend: sorted."),
    Rule(
        "E30",
        1,
        Layer.ENCODING,
        _PROVEN,
        _private_creator,
        "Private creator padded with NUL or not LO: written as LO with a space.",
    ),
    Rule("E29", 1, Layer.ENCODING, _PROVEN, _no_creator, "Private block without creator: kept and flagged."),
    Rule(
        "E24",
        2,
        Layer.ENCODING,
        _PROVEN,
        _representation,
        "Another representation than the standard's: the standard's where the value reads as it.",
    ),
    Rule(
        "N03", 1, Layer.ENCODING, _PROVEN, _too_long, "Value too long for a 16-bit length (PS3.5 section 6.2.2): written as UN."
    ),
    Rule("E21", 1, Layer.ENCODING, _PROVEN, _odd_length, "Odd length: padded."),
    Rule("N02", 1, Layer.ENCODING, _PROVEN, _undefined_length, "Sequence or item of undefined length: written with its length."),
)
"""In the order they are tried."""


@dataclass(slots=True)
class _Reviser:
    """Goes through every data set once."""

    parsed: ParsedOctets
    amender: Amender
    pending: list[tuple[DataSet, DataSet, Path]] = field(default_factory=list)

    def run(self) -> None:
        self.pending.append((self.parsed.data_set, self.amender.revised.data_set, ()))
        while self.pending:
            source, target, path = self.pending.pop()
            target.elements = self._elements(source, path)

    def _elements(self, source: DataSet, path: Path) -> list[Element]:
        """The elements of one data set as they will be written."""
        known, value, little = dictionary.VR_OF.get, self.amender.revised.value, source.little_endian
        kept: list[Element] = []
        append = kept.append
        creators: dict[int, bytes] = {}
        blocks = PrivateBlocks(source)
        plain = source.explicit and little
        last = -1
        seen: set[int] | None = None
        for element in source.elements:
            tag, vr, _, length, items = element
            if (
                tag > last
                and seen is None
                and not length & 1
                and length < 0xFFFF
                and _FIRST <= tag < TRAILING_PADDING
                and items is None
                and little
            ):
                if known(tag) == vr:
                    append(element)
                    last = tag
                    continue
                if tag & 0x10000:
                    if ((tag & 0xFFFF0000) | (tag >> 8 & 0xFF)) in creators:
                        append(element)
                        last = tag
                        continue
                    if vr == "LO" and dictionary.is_private_creator(tag) and tag > _FIRST_PRIVATE and 0 < length <= 64:
                        raw = value(element)
                        if raw[-1] and raw.strip():
                            append(element)
                            creators[tag] = raw.strip(b" \0")
                            last = tag
                            continue
            if tag <= last and seen is None:
                seen = {other[0] for other in kept}
            suspect = Suspect(
                self._little(element, source), self.amender.revised, creators, blocks,
                kept[-1] if kept else None, not path, last, seen, plain,
            )  # fmt: skip
            changed = self._examine(suspect, path)
            if changed is not None:
                append(changed)
                tag = changed.tag
                last = max(last, tag)
                if seen is not None:
                    seen.add(tag)
                if dictionary.is_private_creator(tag) and length:
                    creators[tag] = _creator_text(suspect)
        if seen is not None:
            kept.sort(key=_tag_of)
        return kept

    def _examine(self, suspect: Suspect, path: Path) -> Element | None:
        journal = self.amender.journal
        for rule in ELEMENT_RULES:
            verdict = rule.apply(suspect)
            if verdict is None:
                continue
            place = path_text(path, suspect.element.tag)
            if verdict.finding:
                journal.find(rule.id, verdict.finding, place)
                continue
            journal.change(
                rule.id, rule.confidence, tag=place, original=verdict.original, canonical=verdict.canonical, detail=verdict.detail
            )
            if rule.id in _RECORDED and (verdict.element is None or dictionary.is_private_creator(suspect.element.tag)):
                self.amender.dropped(path, suspect.element._replace(items=None))
            if verdict.element is None:
                return None
            suspect = replace(suspect, element=verdict.element)
        return self._with_items(suspect.element, path)

    def _with_items(self, element: Element, path: Path) -> Element:
        """The element with data sets of its own for its items, which are revised in their turn."""
        if not element.items:
            return element
        items = [DataSet([], item.explicit, item.little_endian, item.begin, item.end) for item in element.items]
        inside = ((*path, (element.tag, number)) for number in range(len(items)))
        self.pending.extend(zip(element.items, items, inside, strict=True))
        return element._replace(items=items)

    def _little(self, element: Element, source: DataSet) -> Element:
        """The element with its value in little endian; pixel data is left to its layout."""
        unit = 0 if source.little_endian else SWAP_UNIT.get(element.vr, 0)
        if not unit or element.items is not None or element.start in self.amender.revised.encapsulated:
            return element
        pixel = self.amender.revised.pixel
        if pixel is not None and element.start == pixel.value.offset and element.tag == pixel.tag:
            return element
        revised = self.amender.revised
        return revised.literal(element.tag, element.vr, swap(revised.value(element), unit))


def _tag_of(element: Element) -> int:
    return element[0]


def revise(parsed: ParsedOctets, journal: Journal) -> Amender:
    """The data set as it will be written, pixel data apart, ready for the rules about values."""
    source = parsed.data_set
    root = DataSet([], source.explicit, source.little_endian, source.begin, source.end)
    amender = Amender(RevisedDataSet(parsed.buffer, root, [], parsed.pixel, parsed.encapsulated), journal)
    _Reviser(parsed, amender).run()
    return amender
