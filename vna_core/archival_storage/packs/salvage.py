"""Members of a pack whose end is lost, where nothing tells what it holds: the TAR archive is walked from its beginning."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator

from vna_core.archival_storage.packs.format import PackMember
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Store


class _Reading(io.RawIOBase):
    """An object of a store as a file to read from."""

    def __init__(self, store: Store, key: str, size: int) -> None:
        self._store, self._key, self._size, self._position = store, key, size, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase.seek`."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        """See `io.IOBase.tell`."""
        return self._position

    def seekable(self) -> bool:
        """See `io.IOBase.seekable`."""
        return True

    def readable(self) -> bool:
        """See `io.IOBase.readable`."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """See `io.RawIOBase.readinto`."""
        length = max(0, min(len(buffer), self._size - self._position))
        octets = self._store.read(self._key, ByteRange(self._position, length)) if length else b""
        buffer[: len(octets)] = octets
        self._position += len(octets)
        return len(octets)


def members_before_damage(store: Store, key: str, size: int) -> Iterator[PackMember]:
    """Those that are whole, up to where the archive cannot be read any further. Their names carry the beginning of their digests.

    Raises what `Store.read` does.
    """
    try:
        with tarfile.open(fileobj=io.BufferedReader(_Reading(store, key, size), 4096), mode="r:") as archive:
            for entry in archive:
                name, _, end = entry.name.rpartition(".")
                digits = name.rpartition(".")[2]
                if end != "dcm" or entry.offset_data + entry.size > size:
                    continue
                part = ByteRange(entry.offset_data, entry.size)
                digest = hashlib.sha256()
                for piece in store.chunks(key, part):
                    digest.update(piece)
                if digits and digest.hexdigest().startswith(digits):
                    yield PackMember(entry.name, digest.hexdigest(), part)
    except tarfile.TarError:
        return
