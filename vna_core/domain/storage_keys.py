"""What a storage key may look like (decision D4): the same for every backend, so that objects can move between them."""

from __future__ import annotations

import re
from typing import Final

from vna_core.domain.errors import InvalidRequest

LONGEST_KEY: Final = 1024
_SEGMENTS: Final = re.compile(r"(?!\.{1,2}(?:/|\Z))[\x01-.0-\x7f]+(?:/(?!\.{1,2}(?:/|\Z))[\x01-.0-\x7f]+)*")
"""ASCII without NUL; no segment is empty or leads elsewhere."""


def checked_key(key: str, store: str, *, longest_segment: int = LONGEST_KEY) -> str:
    """The key itself.

    Parameters
    ----------
    longest_segment
        Most octets between two slashes, where the backend has such a limit.

    Raises
    ------
    InvalidRequest
        It is not ASCII, contains NUL, is too long, or has a segment that is empty, ``.`` or ``..``.
    """
    if (
        len(key) > LONGEST_KEY
        or not _SEGMENTS.fullmatch(key)
        or (len(key) > longest_segment and max(map(len, key.split("/"))) > longest_segment)
    ):
        limit = f", its segments at most {longest_segment}" if longest_segment < LONGEST_KEY else ""
        message = f"A storage key is ASCII, at most 1,024 octets{limit}; no segment is empty, '.' or '..'."
        raise InvalidRequest(message, store=store)
    return key
