"""Taking in content of unknown size for a backend that uploads in parts: bounded memory, digested once.

The digest of a large object is often needed before its first part travels (for its key, or for the metadata of a multipart
upload). Where the caller did not say it, the content goes through a temporary file without a name; otherwise it is never on disk.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from vna_core.domain.errors import DigestMismatch, OutOfResources
from vna_core.domain.octets import Octets, spooled
from vna_core.domain.storage_keys import checked_key
from vna_core.ports.storage import Content, Key

_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


class DigestedParts:
    """Content cut into parts of `part_size` octets (the last one shorter; none without octets), digested as they pass."""

    def __init__(self, content: Content, part_size: int) -> None:
        self._content, self._part_size = content, part_size
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of what has passed so far."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[bytearray]:
        part = bytearray()
        for piece in self._content:
            view = memoryview(piece)
            self._digest.update(view)
            self.size += len(view)
            while len(view):
                room = self._part_size - len(part)
                part += view[:room]
                view = view[room:]
                if len(part) == self._part_size:
                    yield part
                    part = bytearray()
        if part:
            yield part


@dataclass(frozen=True, slots=True)
class Upload:
    """Content ready to be sent.

    Attributes
    ----------
    key
        Where to.
    small
        All of it when it is not larger than one part; None otherwise.
    parts
        The parts in order, once.
    sha256
        Digest of the whole; empty when it is known only after the last part (see `passed`).
    """

    key: str
    small: bytearray | None
    parts: Iterator[bytes | bytearray]
    sha256: str
    _source: DigestedParts
    _expected: str | None
    _store: str

    def passed(self) -> tuple[int, str]:
        """Size and digest after the last part, before the upload is completed. Raises DigestMismatch."""
        _compare(self._source.sha256, self._expected, self._store)
        return self._source.size, self._source.sha256


@contextlib.contextmanager
def taken_in(
    store: str, key: Key, content: Content, sha256: str | None, *, part_size: int, digest_first: bool, folder: Path | None = None
) -> Iterator[Upload]:
    """Content ready to be sent; what the content raises passes through unchanged.

    Parameters
    ----------
    store
        Name of the store, for messages.
    digest_first
        Whether the backend needs the digest of the whole before the first part.
    folder
        Where a large content with a digest not yet known is spooled; None: where the system keeps temporary files.

    Raises
    ------
    InvalidRequest
        The key cannot be one.
    DigestMismatch
        The content is known not to be what `sha256` says.
    OutOfResources
        There is no room for spooling.
    """
    if isinstance(key, str):
        checked_key(key, store)
    source = DigestedParts(content, part_size)
    parts = iter(source)
    first = next(parts, bytearray())
    second = next(parts, None)
    with contextlib.ExitStack() as closing:
        if second is None:
            _compare(source.sha256, sha256, store)
            yield Upload(_named(key, source.sha256, store), first, iter((first,)), source.sha256, source, sha256, store)
            return
        rest: Iterator[bytes | bytearray] = chain((first, second), parts)
        known = sha256 or ""
        del first, second
        if not isinstance(key, str) or (digest_first and not known):
            octets = _spooled(rest, folder)
            closing.callback(octets.close)
            _compare(source.sha256, sha256, store)
            known = source.sha256
            rest = (bytes(octets.read(at, part_size)) for at in range(0, octets.size, part_size))
        yield Upload(_named(key, known, store), None, rest, known, source, sha256, store)


def _spooled(parts: Iterator[bytes | bytearray], folder: Path | None) -> Octets:
    try:
        return spooled((memoryview(part) for part in parts), folder)
    except OSError as error:
        if error.errno in _FULL:
            raise OutOfResources("No room to spool what is being stored.", limit="spool", maximum="disk space") from error
        raise


def _named(key: Key, sha256: str, store: str) -> str:
    return checked_key(key if isinstance(key, str) else key(sha256), store)


def _compare(digest: str, expected: str | None, store: str) -> None:
    if expected is not None and digest != expected:
        raise DigestMismatch("The content is not what its digest says; nothing was stored.", store=store)
