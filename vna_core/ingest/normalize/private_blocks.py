"""Where private blocks go when two creators were written in one place (PS3.5 section 7.8.1)."""

from __future__ import annotations

from collections.abc import Mapping

from vna_core.dicom.elements import DataSet, Element


def block_of(tag: int) -> int:
    """The tag of the creator that reserves a private element's block."""
    return (tag & 0xFFFF0000) | (tag >> 8 & 0xFF)


class PrivateBlocks:
    """The private blocks of one data set.

    Attributes
    ----------
    moved
        For elements from here on: the creator's place to the place its block moved to.
    """

    __slots__ = ("_places", "_source", "_taken", "moved")

    def __init__(self, source: DataSet) -> None:
        self._source = source
        self._taken: set[int] | None = None
        self._places: dict[tuple[int, bytes], int] = {}
        self.moved: dict[int, int] = {}

    def place(self, tag: int, creator: bytes, creators: Mapping[int, bytes], before: Element | None) -> int:
        """Where a creator that was written in `tag` belongs; 0 where it stays.

        A second creator counts only after elements of the first one's block: nothing decides otherwise whose they are.
        """
        first = creators.get(tag)
        if first is None or not creator or before is None:
            return 0
        if first == creator:
            self.moved.pop(tag, None)
            return 0
        if block_of(before.tag) not in (tag, self.moved.get(tag)) or before.tag & 0xFFFF < 0x1000:
            return 0
        known = self._places.get((tag, creator))
        if known is not None:
            self.moved[tag] = known
            return known
        free = self._free(tag & 0xFFFF0000)
        if free:
            self._places[tag, creator] = self.moved[tag] = free
        return free

    def _free(self, group: int) -> int:
        """The lowest place in a group that nothing uses; 0 where there is none."""
        if self._taken is None:
            elements = self._source.elements
            self._taken = {one.tag for one in elements if one.tag & 0x10000 and 0x10 <= one.tag & 0xFFFF <= 0xFF}
            self._taken |= {block_of(one.tag) for one in elements if one.tag & 0x10000 and one.tag & 0xFFFF >= 0x1000}
        for number in range(0x10, 0x100):
            if group | number not in self._taken:
                self._taken.add(group | number)
                return group | number
        return 0
