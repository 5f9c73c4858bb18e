"""A tree of digests over the rows of a ledger: one root stands for all of them, and any altered row shows.

Leaves and nodes are told apart by a first octet (0 and 1), so that no row can pose as a node; an odd node at the end of a level
goes up as it is. The construction is that of RFC 6962 section 2.1.
"""

from __future__ import annotations

import hashlib
from typing import Final

EMPTY: Final = hashlib.sha256(b"").digest()
"""Root of no rows."""


def leaf(row: bytes) -> bytes:
    """Digest of one row."""
    return hashlib.sha256(b"\x00" + row).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """Takes leaves one by one; memory grows with the logarithm of their number."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, bytes]] = []
        self.size = 0

    def add(self, digest: bytes) -> None:
        """Add the digest of the next row."""
        level = 0
        while self._pending and self._pending[-1][0] == level:
            digest = _node(self._pending.pop()[1], digest)
            level += 1
        self._pending.append((level, digest))
        self.size += 1

    def root(self) -> bytes:
        """Root over the leaves added so far."""
        if not self._pending:
            return EMPTY
        digest = self._pending[-1][1]
        for _, left in reversed(self._pending[:-1]):
            digest = _node(left, digest)
        return digest
