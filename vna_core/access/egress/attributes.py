"""The attributes of one instance as a profile wants them: elements left out, values changed, text in another character set."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from vna_core.access.egress.identifiers import conformant_value
from vna_core.access.egress.profiles import EgressProfile, ValueChange
from vna_core.access.egress.succession import SOP_CLASS_UID, sop_class_to_send
from vna_core.dicom import dictionary
from vna_core.dicom.character_set_encoding import NotExpressible, encoder_of
from vna_core.dicom.character_sets import CHARACTER_SET_REPRESENTATIONS, character_set_names, decode_text
from vna_core.dicom.elements import DataSet, Element
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.errors import NotAdaptable

SPECIFIC_CHARACTER_SET: Final = 0x00080005
_LONGEST: Final = {"SH": 16, "LO": 64}
"""Characters of one value (PS3.5 table 6.2-1)."""

_Scope = tuple[DataSet, tuple[str, ...]]


def adapt_attributes(revised: RevisedDataSet, profile: EgressProfile) -> None:
    """Change the data set, which nobody else may be using, in place.

    Raises
    ------
    NotAdaptable
        A character is not in the character set and may not be replaced; ``tag`` names the element.
    """
    _Adapter(revised, profile).run()


class _Adapter:
    def __init__(self, revised: RevisedDataSet, profile: EgressProfile) -> None:
        self._revised = revised
        self._profile = profile
        self._target = () if profile.character_set == ("ISO_IR 6",) else profile.character_set
        self._recodes = bool(profile.character_set)

    def run(self) -> None:
        revised, profile = self._revised, self._profile
        root = revised.data_set
        sop_class = sop_class_to_send(revised, profile.sop_classes)
        if sop_class != revised.text(SOP_CLASS_UID):
            _put(root, revised.literal(SOP_CLASS_UID, "UI", sop_class.encode("latin-1")))
        pending: list[_Scope] = [(root, self._sets(root, ()))]
        while pending:
            data_set, sets = pending.pop()
            data_set.elements[:] = [self._changed(one, sets) for one in data_set.elements if self._stays(one)]
            if data_set is root:
                for change in profile.values:
                    self._apply(change, sets)
            for element in data_set.elements:
                for item in element.items or ():
                    pending.append((item, self._sets(item, sets)))
            if self._recodes:
                self._declare(data_set)

    def _stays(self, element: Element) -> bool:
        if self._profile.remove_private and dictionary.is_private(element.tag):
            return False
        return element.tag not in self._profile.remove

    def _sets(self, data_set: DataSet, inherited: tuple[str, ...]) -> tuple[str, ...]:
        """Character sets that hold in a data set as stored: its own, else those around it (PS3.3 C.12.1.1.2)."""
        found = _find(data_set, SPECIFIC_CHARACTER_SET)
        return inherited if found is None or not found.length else character_set_names(self._revised.value(found))

    def _declare(self, data_set: DataSet) -> None:
        """Specific Character Set at the top level, and below where it stood; none for the default repertoire."""
        found = _find(data_set, SPECIFIC_CHARACTER_SET)
        if found is not None and (data_set is not self._revised.data_set or not self._target):
            data_set.elements.remove(found)
        if self._target and (found is not None or data_set is self._revised.data_set):
            value = "\\".join(self._target).encode("ascii")
            _put(data_set, self._revised.literal(SPECIFIC_CHARACTER_SET, "CS", value))

    def _changed(self, element: Element, sets: tuple[str, ...]) -> Element:
        """The element as it is sent; itself where nothing changes."""
        if element.items is not None or not element.length:
            return element
        vr, profile = element.vr, self._profile
        if vr == "UI" and profile.conformant_uids:
            raw = self._revised.value(element)
            value = conformant_value(raw)
            return element if value == raw.rstrip(b" \0") else self._revised.literal(element.tag, "UI", value)
        if vr not in CHARACTER_SET_REPRESENTATIONS:
            return element
        longest = self._longest(vr)
        if not self._recodes and (not longest or element.length <= longest):
            return element
        raw = self._revised.value(element)
        is_plain = raw.isascii() and b"\x1b" not in raw
        if is_plain and (not longest or len(raw) <= longest):
            return element
        values = decode_text(raw, vr, sets)
        clipped = [value[:longest].rstrip(" ") for value in values] if longest else values
        if clipped == values and (is_plain or not self._recodes):
            return element
        return self._text(element.tag, vr, clipped, sets)

    def _apply(self, change: ValueChange, sets: tuple[str, ...]) -> None:
        root = self._revised.data_set
        found = _find(root, change.tag)
        vr = found.vr if found is not None and found.vr != "UN" else dictionary.vr_of(change.tag)
        longest = self._longest(vr) or None
        if change.value is not None:
            _put(root, self._text(change.tag, vr, [change.value[:longest]], sets))
        elif found is not None and found.length and found.items is None:
            written = self._target if self._recodes and vr in CHARACTER_SET_REPRESENTATIONS else sets
            old = decode_text(self._revised.value(found), vr, written)
            new = [change.mapping.get(value, change.prefix + value)[:longest] for value in old]
            if new != old:
                _put(root, self._text(change.tag, vr, new, sets))

    def _longest(self, vr: str) -> int:
        """Characters that a value may have; 0: any number."""
        return _LONGEST.get(vr, 0) if self._profile.clip_text else 0

    def _text(self, tag: int, vr: str, values: list[str], sets: tuple[str, ...]) -> Element:
        """An element of characters in the character set of the answer. Raises NotAdaptable."""
        names = (self._target if self._recodes else sets) if vr in CHARACTER_SET_REPRESENTATIONS else ()
        try:
            octets = encoder_of(names).encode(values, vr, self._profile.substitute)
        except NotExpressible as error:
            raise NotAdaptable(
                f"({tag >> 16:04X},{tag & 0xFFFF:04X}) cannot be written in the receiver's character set.",
                tag=f"{tag:08X}",
                character_set="\\".join(names),
                profile=self._profile.name,
            ) from error
        return self._revised.literal(tag, vr, octets)


def _find(data_set: DataSet, tag: int) -> Element | None:
    elements = data_set.elements
    index = bisect_left(elements, tag, key=_tag_of)
    return elements[index] if index < len(elements) and elements[index].tag == tag else None


def _put(data_set: DataSet, element: Element) -> None:
    """Put an element in its place, instead of the one of its tag where there is one."""
    elements = data_set.elements
    index = bisect_left(elements, element.tag, key=_tag_of)
    if index < len(elements) and elements[index].tag == element.tag:
        elements[index] = element
    else:
        elements.insert(index, element)


def _tag_of(element: Element) -> int:
    return element[0]
