"""UIDs that can still be read of octets that cannot be archived, so that their sender is told which of its instances failed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from vna_core.dicom.first_elements import first_elements
from vna_core.domain.errors import VnaError
from vna_core.domain.octets import ReceivedInstance

_HEAD: Final = 1 << 18
"""Octets from the beginning that are looked at."""
_SOP_CLASS, _SOP, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_WANTED: Final = frozenset((_SOP_CLASS, _SOP, _STUDY, _SERIES))
_UID: Final = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True)
class ReadableNames:
    """UIDs, each empty where it cannot be read or is none (PS3.5 section 9.1)."""

    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    sop_class_uid: str = ""


def readable_names(received: ReceivedInstance) -> ReadableNames:
    """What the first elements say, else the File Meta Information; the sender's own word about SOP class and instance goes first."""
    try:
        first = first_elements(bytes(received.octets.read(0, _HEAD)), _WANTED)
    except VnaError:  # no DICOM at all, or cut inside the File Meta Information: the sender's word is all there is
        return ReadableNames("", "", received.sop_instance_uid, received.sop_class_uid)
    values = {tag: _uid(found[0]) if found else "" for tag, found in first.values.items()}
    return ReadableNames(
        values.get(_STUDY, ""),
        values.get(_SERIES, ""),
        received.sop_instance_uid or values.get(_SOP) or _uid(first.media_storage_instance_uid),
        received.sop_class_uid or values.get(_SOP_CLASS) or _uid(first.media_storage_class_uid),
    )


def _uid(text: str) -> str:
    text = text.strip(" \0")
    return text if _UID.fullmatch(text) else ""
