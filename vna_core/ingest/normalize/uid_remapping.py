"""New UIDs throughout an instance, references included (I15).

The new UID follows from the map's seed and the old UID alone, so every instance that names a UID gets the same new one,
whenever it comes. UIDs of the standard stay, and those that name no instance: classes, transfer syntaxes, coding schemes,
templates, devices and places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from vna_core.dicom import dictionary
from vna_core.dicom.elements import DataSet
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.amendments import Amender, Path, Place, Record
from vna_core.ingest.normalize.original_attributes import ORIGINAL_ATTRIBUTES

STANDARD_ROOT: Final = "1.2.840.10008."
_NO_INSTANCES: Final = (
    "SOPClass", "TransferSyntax", "ImplementationClass", "CodingScheme", "ContextGroup", "ContextUID", "MappingResource",
    "DeviceUID", "DeviceClass", "CreatorUID", "CreatorVersion", "TemplateExtension", "SegmentationTemplate", "PaletteColor",
    "RetrieveLocation", "RepositoryUniqueID", "HomeCommunityID",
)  # fmt: skip
"""Parts of keywords of attributes that name something else than instances and what they are about."""


def remapped(uid: str, root: str, seed: str) -> str:
    """The new UID below `root` (PS3.5 annex B.2 for 2.25): a name-based UUID of version 5 of the old one (RFC 9562)."""
    return f"{root}.{uuid5(uuid5(NAMESPACE_OID, seed), uid).int}"


@lru_cache(maxsize=4096)
def _names_instances(tag: int) -> bool:
    keyword = dictionary.keyword_of(tag)
    return not any(part in keyword for part in _NO_INSTANCES)


def remap_uids(amender: Amender, root: str, seed: str, rule: str) -> int:
    """Give every UID of the data set its new one.

    Values before are told in the Original Attributes Sequence for the top level; what references named before comes back by
    the reverse patch.

    Returns
    -------
    int
        How many elements were changed.
    """

    @lru_cache(maxsize=65_536)
    def new(uid: str) -> str:
        return uid if not uid or uid.startswith(STANDARD_ROOT) else remapped(uid, root, seed)

    inside = 0
    changed = 0
    for place in tuple(_uids(amender)):
        element = amender.element(place)
        assert element is not None
        before = amender.revised.value(element).decode("latin-1").strip(" \0")
        after = _each(before, new)
        if after == before:
            continue
        record = Record.NONE if place.path else Record.LEGAL
        if amender.put(
            place,
            "UI",
            after.encode("latin-1"),
            rule,
            Confidence.INFERRED,
            record=record,
            coerced=True,
            told=not place.path,
            detail=f"map {seed}",
        ):
            changed += 1
            inside += bool(place.path)
    if inside:
        amender.journal.change(rule, Confidence.INFERRED, detail=f"map {seed}: references in sequences", count=inside)
    return changed


def _each(value: str, new: Callable[[str], str]) -> str:
    return "\\".join(new(one.strip(" \0")) for one in value.split("\\"))


def _uids(amender: Amender) -> Iterator[Place]:
    """Places of UIDs that name instances; values before in (0400,0561) are told as they were."""
    pending: list[tuple[DataSet, Path]] = [(amender.revised.data_set, ())]
    while pending:
        data_set, path = pending.pop()
        for element in tuple(data_set.elements):
            tag = element.tag
            if element.items is not None:
                if tag != ORIGINAL_ATTRIBUTES:
                    pending += ((item, (*path, (tag, number))) for number, item in enumerate(element.items))
            elif element.vr == "UI" and element.length and _names_instances(tag):
                yield Place(data_set, path, tag)
