"""Checks what is read whole against the digest that its key carries (decision D4)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from vna_core.archival_storage.keys import digest_of_content
from vna_core.archival_storage.wrappers.wrapper import Wrapper
from vna_core.domain.errors import DigestMismatch
from vna_core.domain.octets import ByteRange


class VerifyingStore(Wrapper):
    """Gives no object whole that is not what its key says.

    Parts of an object are handed on unchecked: there is no digest of them. Octets that begin at the beginning may be all of
    the object; where their digest is another one, the object is asked for its size.
    """

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`. Raises DigestMismatch too."""
        content = self.inner.read(key, byte_range)
        expected = _expected(key, byte_range)
        if expected and hashlib.sha256(content).hexdigest() != expected:
            self._refuse_whole(key, byte_range)
        return content

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`. The last piece comes only when all are right; raises DigestMismatch in its place."""
        pieces = self.inner.chunks(key, byte_range)
        expected = _expected(key, byte_range)
        if not expected:
            yield from pieces
            return
        digest, withheld = hashlib.sha256(), b""
        for piece in pieces:
            digest.update(piece)
            if withheld:
                yield withheld
            withheld = piece
        if digest.hexdigest() != expected:
            self._refuse_whole(key, byte_range)
        if withheld:
            yield withheld

    def _refuse_whole(self, key: str, byte_range: ByteRange | None) -> None:
        if byte_range is None or self.inner.stat(key).size <= byte_range.length:
            raise DigestMismatch("A stored object is not what its key says; it was not given whole.", store=self.name, key=key)


def _expected(key: str, byte_range: ByteRange | None) -> str:
    """The digest to compare with, or an empty string where none is known."""
    return digest_of_content(key) if byte_range is None or not byte_range.offset and byte_range.length else ""
