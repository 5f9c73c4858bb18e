"""UIDs that break PS3.5 section 9.1 (I01, I02), as ones that do not."""

from __future__ import annotations

from functools import lru_cache
from uuid import NAMESPACE_OID, uuid5

from vna_core.domain.identifiers import uid_is_valid


@lru_cache(maxsize=8192)
def conformant(uid: str) -> str:
    """The UID itself where it is legal, else one under 2.25 (PS3.5 annex B.2) that follows from its characters alone.

    The same UID becomes the same one in every object and at every time, so references stay whole.

    >>> conformant("1.2.840.10008.1.2"), conformant("1.2.00.04") == conformant("1.2.00.04") != conformant("1.2.0.4")
    ('1.2.840.10008.1.2', True)
    """
    if not uid or uid_is_valid(uid):
        return uid
    return f"2.25.{uuid5(NAMESPACE_OID, uid).int}"


def conformant_value(raw: bytes) -> bytes:
    """The value of a UI element with every UID in it made conformant; not padded."""
    text = raw.decode("latin-1").rstrip(" \0")
    return "\\".join(conformant(uid.strip(" \0")) for uid in text.split("\\")).encode("ascii")
