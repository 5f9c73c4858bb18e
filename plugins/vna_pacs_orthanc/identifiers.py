"""Orthanc's own identifiers of resources."""

from __future__ import annotations

from vna_core.domain.errors import PeerError


def safe(identifier: object) -> str:
    """An identifier of Orthanc in a path: hexadecimal digits and hyphens only. Raises PeerError."""
    text = str(identifier)
    if not text or not all(one in "0123456789abcdef-" for one in text):
        raise PeerError("Orthanc gave an identifier that is none.")
    return text
