"""Identifiers are opaque bytes: checked, encoded for keys, minted where missing; never trusted."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Protocol

_UID: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
_KEY_SAFE: Final = re.compile(r"[0-9][0-9.]{0,63}")
UID_MAX_LENGTH: Final = 64


class Identified(Protocol):
    """What has the UIDs of an instance."""

    @property
    def study_instance_uid(self) -> str: ...
    @property
    def series_instance_uid(self) -> str: ...
    @property
    def sop_instance_uid(self) -> str: ...


def uid_is_valid(uid: str) -> bool:
    """Whether `uid` follows PS3.5 section 9.1 (at most 64 characters, no leading zeros in a component)."""
    return len(uid) <= UID_MAX_LENGTH and _UID.fullmatch(uid) is not None


def key_segment(identifier: str) -> str:
    """One path segment of a storage key for an identifier of any content.

    Digits and dots pass as they are (dots only between digits); everything else is written as ``~`` and the hexadecimal
    UTF-8 octets, or ``~~`` and a SHA-256 where that would pass 128 characters, so that no identifier is ever a path.
    """
    if _KEY_SAFE.fullmatch(identifier) and ".." not in identifier and not identifier.endswith("."):
        return identifier
    raw = identifier.encode("utf-8", "surrogateescape")
    return f"~{raw.hex()}" if len(raw) <= 63 else f"~~{hashlib.sha256(raw).hexdigest()}"


def identifier_of_segment(segment: str) -> str:
    """The identifier that `key_segment` wrote so; empty where it kept a digest only."""
    if segment.startswith("~~"):
        return ""
    return bytes.fromhex(segment[1:]).decode("utf-8", "surrogateescape") if segment.startswith("~") else segment


def mint_uid(original_sha256: str, level: str) -> str:
    """A UID under 2.25 (PS3.5 annex B.2) that follows from the octets as received and the level's name alone.

    The same octets offered twice get the same UID, so minting is repeatable.
    """
    digest = bytearray(hashlib.sha256(f"{level}:{original_sha256}".encode("ascii")).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80  # version 8: vendor-specific, RFC 9562 section 5.8
    digest[8] = (digest[8] & 0x3F) | 0x80
    return f"2.25.{int.from_bytes(digest, 'big')}"


@dataclass(frozen=True, slots=True)
class PatientKey:
    """A patient: the ID together with the assigning authority that issued it.

    The same bare ID of two issuers names two patients until somebody links them.
    """

    issuer: str
    patient_id: str
