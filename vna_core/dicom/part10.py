"""The head of a canonical DICOM file: preamble and File Meta Information (PS3.10 section 7.1)."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final

from vna_core.dicom.canonical_writer import literal_element

IMPLEMENTATION_CLASS_UID: Final = "2.25.337620557496047498616427460596212894877"
"""Ours, under the UUID root (PS3.5 annex B.2)."""

IMPLEMENTATION_VERSION_NAME: Final = "VNA_CORE_1"
PREAMBLE: Final = bytes(128) + b"DICM"

_VERSION: Final = literal_element(0x00020001, "OB", b"\x00\x01")
_GROUP_LENGTH: Final = Struct("<HH2sHI").pack


@lru_cache(maxsize=256)
def _ending(transfer_syntax_uid: str) -> bytes:
    return (
        literal_element(0x00020010, "UI", transfer_syntax_uid.encode("latin-1"))
        + literal_element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode("ascii"))
        + literal_element(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME.encode("ascii"))
    )


@lru_cache(maxsize=256)
def _beginning(sop_class_uid: str) -> bytes:
    return _VERSION + literal_element(0x00020002, "UI", sop_class_uid.encode("latin-1"))


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and File Meta Information in Explicit VR Little Endian with its true group length.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid
        As they stand in the data set, each at most 65,534 octets.
    """
    elements = (
        _beginning(sop_class_uid)
        + literal_element(0x00020003, "UI", sop_instance_uid.encode("latin-1"))
        + _ending(transfer_syntax_uid)
    )
    return PREAMBLE + _GROUP_LENGTH(0x0002, 0x0000, b"UL", 4, len(elements)) + elements
