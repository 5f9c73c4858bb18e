"""File meta information of canonical objects (PS3.10 section 7.1)."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final

IMPLEMENTATION_CLASS_UID: Final = "2.25.136794853102784520176653903270521389422"
IMPLEMENTATION_VERSION_NAME: Final = "VNA_CORE_1"
PREAMBLE: Final = bytes(128) + b"DICM"

_SHORT: Final = Struct("<HH2sH").pack
_LONG: Final = Struct("<HH2sHI").pack


def _text(number: int, vr: bytes, value: str, pad: bytes) -> bytes:
    raw = value.encode("latin-1", "replace")
    raw += pad * (len(raw) & 1)
    return _SHORT(2, number, vr, len(raw)) + raw


@lru_cache(maxsize=256)
def _constant_part(transfer_syntax_uid: str) -> bytes:
    return (
        _text(0x0010, b"UI", transfer_syntax_uid, b"\0")
        + _text(0x0012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0")
        + _text(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" ")
    )


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and file meta information, in Explicit VR Little Endian with the right group length."""
    group = (
        _LONG(2, 1, b"OB", 0, 2)
        + b"\0\x01"
        + _text(0x0002, b"UI", sop_class_uid, b"\0")
        + _text(0x0003, b"UI", sop_instance_uid, b"\0")
        + _constant_part(transfer_syntax_uid)
    )
    return PREAMBLE + _SHORT(2, 0, b"UL", 4) + len(group).to_bytes(4, "little") + group
