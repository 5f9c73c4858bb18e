"""What a storage key may look like (decision D4): the same for every backend, so that objects can move between them."""

from __future__ import annotations

from typing import Final

from vna_core.domain.errors import InvalidRequest

LONGEST_KEY: Final = 1024


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
    segments = key.split("/")
    if (
        not key.isascii()
        or "\0" in key
        or len(key) > LONGEST_KEY
        or any(segment in ("", ".", "..") or len(segment) > longest_segment for segment in segments)
    ):
        limit = f", its segments at most {longest_segment}" if longest_segment < LONGEST_KEY else ""
        message = f"A storage key is ASCII, at most 1,024 octets{limit}; no segment is empty, '.' or '..'."
        raise InvalidRequest(message, store=store)
    return key
