"""What a source promised of an instance before it delivered it: the digest of its octets."""

from __future__ import annotations

import hashlib

from vna_core.domain.octets import ReceivedInstance


def is_promised(received: ReceivedInstance, promised: str) -> bool:
    """Whether octets are those that a digest such as ``md5:<hex>`` was made of."""
    name, _, wanted = promised.partition(":")
    if name == "sha256":
        return received.octets.sha256 == wanted
    if name != "md5":
        return True
    digest = hashlib.md5(usedforsecurity=False)
    for piece in received.octets.chunks():
        digest.update(piece)
    return digest.hexdigest() == wanted
