"""Sequences of what Orthanc finds: its index has none, so they are read from the header of an instance.

From version 1.11.1 on Orthanc can tell them with a search (``RequestedTags``), and reads the same file for it; one instance's header is told by every version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from vna_core.dicom.answers import in_order
from vna_core.dicom.dictionary import is_private, vr_of
from vna_core.dicom.json_header import encode_attributes
from vna_core.dicom.network.web_client import WebClient
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import NotFound, PeerError, PeerUnavailable
from vna_core.domain.query import Level
from vna_core.domain.sequence_levels import level_of_sequence
from vna_pacs_orthanc.identifiers import safe

HEADERS: Final = 500
"""Most headers that are read for one question, each in about a millisecond; further answers tell no sequences."""
_DEEPEST: Final = 16
"""Sequences in one another that are told."""
_TAG: Final = re.compile("[0-9a-f]{4},[0-9a-f]{4}")
_TEXT: Final = frozenset(("LT", "ST", "UR", "UT"))
"""A backslash in them is no delimiter (PS3.5 section 6.2)."""
_HEIGHT: Final = {Level.PATIENT: 0, Level.STUDY: 1, Level.SERIES: 2, Level.IMAGE: 3}
_BELOW: Final = {Level.PATIENT: ("Studies", "/studies/"), Level.STUDY: ("Series", "/series/"), Level.SERIES: ("Instances", "")}
_NEXT: Final = {Level.PATIENT: Level.STUDY, Level.STUDY: Level.SERIES, Level.SERIES: Level.IMAGE}

Described = Callable[[str], Mapping[str, Any]]
"""What Orthanc says of a study or series at a path."""


class Sequences:
    """Tells the sequences of the answers to one question.

    Of a series those of its first instance, of a study or patient those of the first series; what belongs below the level asked for is not told.
    """

    def __init__(
        self, client: WebClient, level: Level, attributes: tuple[int, ...], described: Described, deadline: Deadline | None
    ) -> None:
        self._client = client
        self._level = level
        self._described = described
        self._deadline = deadline
        self._wanted = [tag for tag in attributes if _is_told(tag, level)]
        self._left = HEADERS

    def of(self, resource: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """DICOM JSON of the sequences that are asked for; nothing where their header is not read. Raises PeerUnavailable."""
        if not self._wanted or not self._left:
            return {}
        self._left -= 1
        try:
            identifier, alone = self._instance(resource)
            header = self._client.document(f"/instances/{identifier}/tags", {"short": ""}, deadline=self._deadline)
        except PeerUnavailable:
            raise
        except (NotFound, PeerError):  # deleted meanwhile, or its file is lost: the answer tells less
            return {}
        if not isinstance(header, dict):
            return {}
        told: dict[str, dict[str, Any]] = {}
        for tag in self._wanted:
            items = header.get(f"{tag >> 16:04x},{tag & 0xFFFF:04x}")
            if isinstance(items, list) and items:
                told[f"{tag:08X}"] = {"vr": "SQ", "Value": [_item(one, 1) for one in items]}
            elif alone:
                told[f"{tag:08X}"] = {"vr": "SQ"}
        return told

    def _instance(self, resource: Mapping[str, Any]) -> tuple[str, bool]:
        """The instance that stands for a resource, and whether it is of its only series. Raises NotFound."""
        level, one, alone = self._level, resource, True
        while level is not Level.IMAGE:
            name, path = _BELOW[level]
            children = one.get(name)
            if not isinstance(children, list) or not children:
                raise NotFound("Orthanc names nothing below a resource.")
            alone = alone and (level is Level.SERIES or len(children) == 1)
            one = self._described(f"{path}{safe(children[0])}") if path else {"ID": children[0]}
            level = _NEXT[level]
        return safe(one.get("ID", "")), alone


def _is_told(tag: int, level: Level) -> bool:
    own = level_of_sequence(tag)
    return own is not None and _HEIGHT[own] <= _HEIGHT[level]


def _item(told: object, depth: int) -> dict[str, Any]:
    """One item as DICOM JSON. What Orthanc writes as null (binary, or long) is not told, nor what is private."""
    if not isinstance(told, dict) or depth > _DEEPEST:
        return {}
    values: dict[int, tuple[str, ...]] = {}
    sequences: dict[str, dict[str, Any]] = {}
    for name, value in told.items():
        tag = int(name.replace(",", ""), 16) if _TAG.fullmatch(name) else 0
        vr = vr_of(tag)
        if not tag or is_private(tag):
            continue
        if isinstance(value, list):
            items = [_item(one, depth + 1) for one in value]
            sequences[f"{tag:08X}"] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        elif isinstance(value, str) and vr != "SQ":
            values[tag] = () if not value else (value,) if vr in _TEXT else tuple(value.split("\\"))
    return in_order(encode_attributes(values) | sequences)
